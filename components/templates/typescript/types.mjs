// Writes types/ out of wit/ (or the folder that is named): one declaration for each interface of the contract.
import fs from 'node:fs';
import path from 'node:path';

const modules = process.argv[2];
const wit = process.argv[3] ?? 'wit';
const bindgen = path.join(modules, '@bytecodealliance/jco-transpile/vendor/js-component-bindgen-component.js');
const { $init, generateTypes } = await import(bindgen);
await $init;

// As one text: the generator's own reader of folders does not work on every file system.
const header = 'package mercury:plugin@0.2.0;';
const sources = fs.readdirSync(wit).map((file) => fs.readFileSync(path.join(wit, file), 'utf8').replace(header, ''));
const files = generateTypes('plugin', {
  wit: { tag: 'source', val: [header, ...sources].join('\n') },
  world: 'plugin',
  guest: true,
  tlaCompat: false,
  features: { tag: 'list', val: [] },
  flagsAsBigint: false,
  variantsInlineCases: true,
  useNamespaceObjects: false,
  enumValuesScreamingSnakeCase: false,
});
for (const [name, bytes] of files) {
  const file = path.join('types', name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, asInQuickJs(new TextDecoder().decode(bytes)));
}

// The generator describes another engine. This one hands over numbers where the contract has 64 bits (it
// keeps them below 2^53), and `null` where something is absent; it takes `undefined` as well.
function asInQuickJs(text) {
  return text
    .replaceAll(/\bbigint\b/g, 'number')
    .replaceAll('| undefined', '| null | undefined')
    .replaceAll(/^(\s*\w+\?: .+),$/gm, '$1 | null,');
}
