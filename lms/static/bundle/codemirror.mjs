// The one module that the editors of Python and of a notice's YAML need, bundled by esbuild into vendor/codemirror/codemirror.js.
export { EditorView, basicSetup } from "codemirror";
export { keymap } from "@codemirror/view";
export { EditorState, Compartment } from "@codemirror/state";
export { indentWithTab, defaultKeymap } from "@codemirror/commands";
export { indentUnit } from "@codemirror/language";
export { python } from "@codemirror/lang-python";
export { yaml } from "@codemirror/lang-yaml";
