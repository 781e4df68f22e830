"""A notebook of mixed cells under nbclient, as nbconvert and CI services run it."""

import sys
import unittest

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

CELLS = [
    "import { readFileSync } from 'node:fs';\nimport { basename } from 'node:path';",
    "interface Point { x: number; y: number }\nconst norm = ({ x, y }: Point): number => Math.hypot(x, y);",
    "norm({ x: 3, y: 4 })",
    "for (let i = 0; i < 5000; i++) console.log(`line ${i}`)",
    "const reply = await new Promise<string>((resolve) => setTimeout(() => resolve('waited'), 50)); reply",
    "enum Kind { Dense, Moe }\nKind[Kind.Moe]",
    "display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>bold</b>', 'text/plain': 'bold' }) })",
    "const place = display('first', { id: 'place' }); place.update('second')",
    "console.log('out'); console.error('err'); 'both'",
    "class Counter { #n = 0; next() { return ++this.#n } }\nconst counter = new Counter(); counter.next(); counter.next()",
    "const norm = 'redefined'; norm",
    "import { helper } from './helper'; helper(20)",
    "new Float32Array(100_000)",
    "const wrong: number = 'text'; 'ran all the same'",
]


def text(output):
    return output["data"]["text/plain"]


class NotebookTests(unittest.TestCase):
    def run_cells(self, cells, **options):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        client = NotebookClient(notebook, kernel_name="moescope-test", timeout=60, resources={"metadata": {"path": FOLDER}}, **options)
        client.execute()
        nbformat.validate(notebook)
        return [cell.outputs for cell in notebook.cells]

    def test_mixed_cells(self):
        out = self.run_cells(CELLS)
        self.assertEqual(out[0], [])
        self.assertEqual(text(out[2][0]), "5")
        self.assertEqual("".join(o["text"] for o in out[3]).count("\n"), 5000)
        self.assertEqual(text(out[4][0]), "'waited'")
        self.assertEqual(text(out[5][0]), "'Moe'")
        self.assertEqual(out[6][0]["data"]["text/html"], "<b>bold</b>")
        self.assertEqual([text(o) for o in out[7]], ["'second'"])
        self.assertEqual(sorted(o.get("name", o["output_type"]) for o in out[8]), ["execute_result", "stderr", "stdout"])
        self.assertEqual(text(out[9][0]), "2")
        self.assertEqual(text(out[10][0]), "'redefined'")
        self.assertEqual(text(out[11][0]), "42")
        self.assertIn("99940 more items", text(out[12][0]))
        self.assertEqual(text(next(o for o in out[13] if o["output_type"] == "execute_result")), "'ran all the same'")
        self.assertIn("~~~~~", next(o for o in out[13] if o.get("name") == "stderr")["text"])

    def test_an_error_stops_the_notebook(self):
        with self.assertRaises(CellExecutionError) as raised:
            self.run_cells(["const before = 1;\nthrow new TypeError('stop here')", "'never'"])
        self.assertIn("stop here", str(raised.exception))
        self.assertIn("line 2", str(raised.exception))

    def test_an_interrupt_on_timeout_keeps_the_kernel(self):
        out = self.run_cells(
            ["let n = 0; while (true) n++", "n > 0"], interrupt_on_timeout=True, allow_errors=True, timeout_func=lambda cell: 2
        )
        self.assertEqual(out[0][-1]["ename"], "KernelInterrupt")
        self.assertEqual(text(out[1][0]), "true")


if __name__ == "__main__":
    FOLDER = sys.argv.pop(1)
    unittest.main()
