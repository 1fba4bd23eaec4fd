"""For same-text.ts: what transformers makes of a GGUF file. Prints one JSON object: ids of texts, or why the tokenizer is refused; greedy tokens after given ids."""
import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, name, texts, prompts, count = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(1)
out = {}
try:
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    out["ids"] = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
except Exception as e:
    out["refused"] = str(e)[:200]
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
out["tokens"] = []
for prompt in prompts:
    ids = list(prompt)
    with torch.no_grad():
        for _ in range(count):
            ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    out["tokens"].append(ids[len(prompt):])
print(json.dumps(out))
