// Writes host/src/gateway/models.tsv from the model registry of pi-ai: where each provider's APIs
// are, and what their models cost. Run it when the agent image gets another version of pi:
//
//     node scripts/models.mjs NODE_MODULES/@earendil-works/pi-ai > host/src/gateway/models.tsv
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

// The APIs that the gateway speaks: `Api::from_registry` in host/src/gateway/api.rs.
const SERVED = ["anthropic-messages", "openai-completions", "openai-responses", "google-generative-ai", "mistral-conversations"];

const root = process.argv[2];
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const folder = join(root, "dist/providers/data");
const rates = ({ input, output, cacheRead, cacheWrite }) => [input, output, cacheRead, cacheWrite].join(" ");
// A router that picks the model by itself has a negative price: it is not known beforehand.
const price = ({ tiers = [], ...cost }) =>
    cost.input < 0 ? ["?"] : [rates(cost), ...tiers.map((tier) => `${tier.inputTokensAbove} ${rates(tier)}`)];

console.log(`# Made by scripts/models.mjs from pi-ai ${version}: do not edit.`);
console.log("# @ provider, API, base URL; then its models: id, US dollars per million tokens (input, output,");
console.log("# cache read, cache write; ? is not known), and the same again above a number of input tokens.");
for (const file of readdirSync(folder).filter((name) => name.endsWith(".json")).sort()) {
    for (const [api, models] of Object.entries(JSON.parse(readFileSync(join(folder, file), "utf8")))) {
        const bases = new Set(Object.values(models).map((model) => model.baseUrl));
        const [base] = bases;
        // An address with a blank in it ({CLOUDFLARE_ACCOUNT_ID}) is filled in by pi, from its environment.
        if (!SERVED.includes(api) || bases.size !== 1 || base.includes("{")) continue;
        console.log(["@", file.replace(/\.json$/u, ""), api, base].join("\t"));
        for (const [id, { cost }] of Object.entries(models).sort(([a], [b]) => (a < b ? -1 : 1))) {
            console.log([id, ...price(cost)].join("\t"));
        }
    }
}
