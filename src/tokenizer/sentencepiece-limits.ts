/**
 * Limits of SentencePiece models, far above real models. Source of the format: sentencepiece_model.proto of
 * google/sentencepiece, version 0.2.
 */
export const sentencePieceLimits = {
  /** Bytes of a `.model` file. The largest vocabularies in use, of 256 k pieces, need 5 MB. */
  fileBytes: 1 << 25,
  pieces: 1 << 19,
  /**
   * Fields of all messages that are looked into: four for each piece, and many more settings than there are. Those that
   * mean nothing count, for each takes time.
   */
  fields: 3 << 20,
  /**
   * UTF-16 units of a piece of text, and of all pieces together: the table of pairs grows with both. Real ones: 48, and
   * 2 M.
   */
  pieceUnits: 256,
  allPieceUnits: 1 << 22,
  /**
   * Control and user-defined pieces, the length of one (looking for the longest at each place of a text takes up to as
   * many steps), and their length together, in UTF-16 units.
   */
  specials: 16_384,
  specialUnits: 128,
  allSpecialUnits: 1 << 18,
  /** Bytes of the names that the settings of the file give (`<s>`, the text of an unknown piece). */
  nameBytes: 4096
} as const
