/** The test "B10" of test/attacks with every hostile value. */
import { test } from 'node:test'
import { refuseAll } from '../refuse-all.ts'

test('every hostile hyperparameter of every architecture is refused by its key', () => refuseAll(1, 5000))
