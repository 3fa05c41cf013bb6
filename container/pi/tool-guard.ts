/**
 * Asks the host before every tool call of the agent.
 *
 * Owns the question and what its answer means for pi; decides nothing itself. Fails closed:
 * without a well-formed answer within the deadline the call is blocked.
 *
 * Where a person is asked, the answer may take hours: the host names the question, and this
 * looks for what has become of it, again and again, also when the host is restarted meanwhile.
 *
 * Loaded by `entry` with `pi -e`. No dependency but `node:http`, because every import costs
 * start-up time of every run.
 */
import { request } from "node:http";

/** `mercury_protocol::socket::TOOL_CALLS`. */
const TOOL_CALLS = "/agent/tool-calls";
/** Where the host's socket is unless `API_SOCKET` says otherwise (`mercury_protocol::paths`). */
const SOCKET = "/run/mercury/api.sock";
/** Milliseconds that the host has to answer: a guard is given 2 s of it, the rest is the host's. */
const ANSWER_WITHIN = 5000;
/** The same for a look at a question, which the host holds for 5 s. */
const LOOK_WITHIN = 10000;
/** Milliseconds that a host may be away, restarting, before a call is blocked. */
const BACK_WITHIN = 15000;
/** Milliseconds between two attempts to reach it. */
const RETRY_AFTER = 100;
/** Milliseconds between two looks where the host did not hold the first. */
const LOOK_AFTER = 500;
/** Milliseconds beyond a question's own time in which the host may still say that it is over. */
const LATE = 60000;
/** Characters of an answer that are read at most: edited arguments are shorter than 8,000. */
const MAX_ANSWER = 65536;

/** Nobody listens on the socket, or whoever did is gone: it may be asked again, under the same id. */
const AWAY = "away";
/** No answer, or none that is understood. */
const NONE = "none";

type Answer = { status: number; text: string } | typeof AWAY | typeof NONE;
type Verdict =
	| { verdict: "allow" }
	| { verdict: "edit"; arguments: Record<string, unknown> }
	| { verdict: "deny"; reason: string }
	| { verdict: "wait"; question: number; remainingMs: number };

const UNAVAILABLE: Verdict = { verdict: "deny", reason: "guard unavailable" };

function exchange(method: string, path: string, body: string, within: number, signal?: AbortSignal): Promise<Answer> {
	return new Promise((resolve) => {
		const exchanged = request(
			{
				socketPath: process.env.API_SOCKET || SOCKET,
				path,
				method,
				agent: false,
				signal,
				headers: body ? { "content-type": "application/json", "content-length": Buffer.byteLength(body) } : {},
			},
			(answer) => {
				let text = "";
				answer.setEncoding("utf8");
				answer.on("data", (part: string) => {
					text += part;
					if (text.length > MAX_ANSWER) exchanged.destroy(new Error("answer too long"));
				});
				answer.on("error", failed);
				answer.on("end", () => finish({ status: answer.statusCode ?? 0, text }));
			},
		);
		// One clock over the whole exchange: a host that sends a byte now and then does not extend it.
		const clock = setTimeout(() => exchanged.destroy(new Error("too late")), within);
		const finish = (answer: Answer) => {
			clearTimeout(clock);
			resolve(answer);
		};
		const failed = (error: NodeJS.ErrnoException) =>
			finish(["ECONNREFUSED", "ENOENT", "ECONNRESET", "EPIPE"].includes(error.code ?? "") ? AWAY : NONE);
		exchanged.on("error", failed);
		exchanged.on("close", () => finish(NONE));
		exchanged.end(body);
	});
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

/** What is not understood is no permission. */
function understood(answer: Answer): Verdict | undefined {
	if (typeof answer === "string" || answer.status !== 200) return undefined;
	try {
		const said = JSON.parse(answer.text);
		if (said.verdict === "allow") return said;
		if (said.verdict === "edit" && isObject(said.arguments)) return said;
		if (said.verdict === "deny" && typeof said.reason === "string") return said;
		if (said.verdict === "wait" && Number.isInteger(said.question) && Number.isFinite(said.remainingMs)) return said;
	} catch {
		// Falls through.
	}
	return undefined;
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** A host that restarts in the middle of a run is waited for; the run goes on when it is back. */
async function ask(tool: string, args: unknown, signal?: AbortSignal): Promise<Verdict> {
	let body: string;
	try {
		body = JSON.stringify({ id: crypto.randomUUID(), tool, arguments: args ?? {} });
	} catch {
		return UNAVAILABLE;
	}
	const until = Date.now() + BACK_WITHIN;
	for (;;) {
		const answer = await exchange("POST", TOOL_CALLS, body, ANSWER_WITHIN, signal);
		if (answer !== AWAY) return understood(answer) ?? UNAVAILABLE;
		if (Date.now() > until || signal?.aborted) return UNAVAILABLE;
		await pause(RETRY_AFTER);
	}
}

/** Waits for a person's answer. */
async function settled(verdict: Verdict, signal?: AbortSignal): Promise<Verdict> {
	while (verdict.verdict === "wait") {
		const until = Date.now() + verdict.remainingMs + LATE;
		const path = `${TOOL_CALLS}/${verdict.question}`;
		let next: Verdict | undefined;
		while (next === undefined) {
			if (Date.now() > until || signal?.aborted) return UNAVAILABLE;
			const answer = await exchange("GET", path, "", LOOK_WITHIN, signal);
			// The host has no such question: nobody will ever answer it.
			if (typeof answer !== "string" && answer.status === 404) return UNAVAILABLE;
			next = understood(answer);
			if (next === undefined) await pause(LOOK_AFTER);
		}
		verdict = next;
	}
	return verdict;
}

export default function toolGuard(pi: any) {
	pi.on("tool_call", async (event: any, context: any) => {
		const verdict = await settled(await ask(event.toolName, event.input, context?.signal), context?.signal);
		if (verdict.verdict === "deny") return { block: true, reason: verdict.reason };
		if (verdict.verdict === "edit") {
			// pi runs the tool with this very object.
			for (const key of Object.keys(event.input)) delete event.input[key];
			Object.assign(event.input, verdict.arguments);
		}
		return undefined;
	});
}
