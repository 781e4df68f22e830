"""jupyter_kernel_test with every sample filled in. Run by jupyter.slow.test.ts, which makes the kernelspec known."""

import unittest

import jupyter_kernel_test


class MoescopeTests(jupyter_kernel_test.KernelTests):
    kernel_name = "moescope-test"
    language_name = "typescript"
    file_extension = ".ts"

    code_hello_world = "console.log('hello, world')"
    code_stderr = "console.error('to stderr')"
    code_page_something = "parseInt?"
    code_generate_error = "throw new RangeError('on purpose')"
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "['a', 1n]", "result": "[ 'a', 1n ]"},
        {"code": "await Promise.resolve(new Map([[1, 2]]))", "result": "Map(1) { 1 => 2 }"},
        {"code": "({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>x</b>' }) })", "mime": "text/html"},
    ]
    code_display_data = [
        {"code": "display('shown')", "mime": "text/plain"},
        {"code": "import { html } from 'tslab'; html('<i>y</i>')", "mime": "text/html"},
        {
            "code": "display({ [Symbol.for('Jupyter.display')]: async () => ({ 'image/png': new Uint8Array(8) }) })",
            "mime": "image/png",
        },
    ]
    completion_samples = [
        {"text": "Math.hyp", "matches": {"hypot"}},
        {"text": "Number.MAX_SAFE_I", "matches": {"MAX_SAFE_INTEGER"}},
        {"text": "'𝒳'.codePoint", "matches": {"codePointAt"}},
    ]
    complete_code_samples = [
        "1 + 1",
        "const f = (x: number): number => x",
        "for await (const x of xs) {}",
        "%types warn",
        "",
    ]
    incomplete_code_samples = ["function f() {", "const a = [1,", "`text", "class A {\n  m() {"]
    invalid_code_samples = ["const = 5", "let x = )", "class { {"]
    code_history_pattern = "6 *?7"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "parseInt"
    code_clear_output = "display.clear()"


class MoescopeIopubWelcomeTests(jupyter_kernel_test.IopubWelcomeTests):
    kernel_name = "moescope-test"
    support_iopub_welcome = True


if __name__ == "__main__":
    unittest.main()
