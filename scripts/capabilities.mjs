// Writes host/src/domain/capabilities.tsv from the model registry of pi-ai: what each model can do.
// Run it when the agent image gets another version of pi:
//
//     node scripts/capabilities.mjs NODE_MODULES/@earendil-works/pi-ai > host/src/domain/capabilities.tsv
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = process.argv[2];
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = join(root, "dist/providers/data");

console.log(`# Made by scripts/capabilities.mjs from pi-ai ${version}: do not edit.`);
console.log("# @ provider; then its models: id, and v (takes images), r (can reason), vr or - (neither).");
for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
    const known = new Map();
    for (const models of Object.values(JSON.parse(readFileSync(join(folder, file), "utf8")))) {
        for (const [id, { input, reasoning }] of Object.entries(models)) {
            known.set(id, `${input?.includes("image") ? "v" : ""}${reasoning ? "r" : ""}` || "-");
        }
    }
    console.log(`@\t${file.replace(/\.json$/u, "")}`);
    for (const [id, flags] of [...known].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${id}\t${flags}`);
}
