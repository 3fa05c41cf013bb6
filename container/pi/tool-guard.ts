/**
 * Asks the host before every tool call of the agent.
 *
 * Owns the question and what its answer means for pi; decides nothing itself. Fails closed:
 * without a well-formed answer within the deadline the call is blocked.
 *
 * Loaded by `entry` with `pi -e`. No dependency but `node:http`, because every import costs
 * start-up time of every run.
 */
import { request } from "node:http";

/** `mercury_protocol::socket::TOOL_CALLS`. */
const TOOL_CALLS = "/agent/tool-calls";
/** Where the host's socket is unless `API_SOCKET` says otherwise (`mercury_protocol::paths`). */
const SOCKET = "/run/mercury/api.sock";
/** Milliseconds that the host has to answer: what a guard is given. */
const ANSWER_WITHIN = 2000;
/** Milliseconds that a host may be away, restarting, before a call is blocked. */
const BACK_WITHIN = 15000;
/** Milliseconds between two attempts to reach it. */
const RETRY_AFTER = 100;
/** Characters of an answer that are read at most: a reason is a sentence or two. */
const MAX_ANSWER = 65536;

const UNAVAILABLE = { block: true, reason: "guard unavailable" };
/** Nobody listens on the socket, so nobody has heard the question: it may be asked again. */
const AWAY = Symbol("away");

type Verdict = { block: boolean; reason?: string };

function ask(tool: string, args: unknown, signal?: AbortSignal): Promise<Verdict | typeof AWAY> {
	return new Promise((resolve) => {
		let body: string;
		try {
			body = JSON.stringify({ tool, arguments: args ?? {} });
		} catch {
			return resolve(UNAVAILABLE);
		}
		const question = request(
			{
				socketPath: process.env.API_SOCKET || SOCKET,
				path: TOOL_CALLS,
				method: "POST",
				agent: false,
				signal,
				headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
			},
			(answer) => {
				let text = "";
				answer.setEncoding("utf8");
				answer.on("data", (part: string) => {
					text += part;
					if (text.length > MAX_ANSWER) question.destroy(new Error("answer too long"));
				});
				answer.on("error", () => finish(UNAVAILABLE));
				answer.on("end", () => finish(answer.statusCode === 200 ? understood(text) : UNAVAILABLE));
			},
		);
		// One clock over the whole exchange: a host that sends a byte now and then does not extend it.
		const clock = setTimeout(() => question.destroy(new Error("too late")), ANSWER_WITHIN);
		const finish = (verdict: Verdict | typeof AWAY) => {
			clearTimeout(clock);
			resolve(verdict);
		};
		question.on("error", (error: NodeJS.ErrnoException) => {
			finish(error.code === "ECONNREFUSED" || error.code === "ENOENT" ? AWAY : UNAVAILABLE);
		});
		question.on("close", () => finish(UNAVAILABLE));
		question.end(body);
	});
}

function understood(text: string): Verdict {
	try {
		const answer = JSON.parse(text);
		if (answer.verdict === "allow") return { block: false };
		if (answer.verdict === "deny" && typeof answer.reason === "string") return { block: true, reason: answer.reason };
	} catch {
		// Falls through: what is not understood is no permission.
	}
	return UNAVAILABLE;
}

/** A host that restarts in the middle of a run is waited for; the run goes on when it is back. */
async function askUntilBack(tool: string, args: unknown, signal?: AbortSignal): Promise<Verdict> {
	const until = Date.now() + BACK_WITHIN;
	for (;;) {
		const verdict = await ask(tool, args, signal);
		if (verdict !== AWAY) return verdict;
		if (Date.now() > until || signal?.aborted) return UNAVAILABLE;
		await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
	}
}

export default function toolGuard(pi: any) {
	pi.on("tool_call", async (event: any, context: any) => {
		const verdict = await askUntilBack(event.toolName, event.input, context?.signal);
		return verdict.block ? verdict : undefined;
	});
}
