// The script's side of tests/clients/script.py: options, questions, and the result.

import { createInterface } from "node:readline";

export const options = JSON.parse(process.argv.at(-1));

const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();

/** Ask the test a question and return its answer. */
export async function ask(question, subject) {
  console.log(JSON.stringify({ [question]: subject }));
  const { value, done } = await lines.next();
  if (done) throw new Error(`no answer to ${question}`);
  return JSON.parse(value);
}

/** Run the scenario that the options name, and report what it returns. */
export async function play(scenarios) {
  const result = await scenarios[options.scenario]();
  console.log(JSON.stringify({ done: result ?? null }));
  input.close();
}

/** Return how a request is refused, in the words of the client. */
export async function refusal(request) {
  try {
    await request;
  } catch (error) {
    return { code: error.code, error: error.error, status: error.status };
  }
  throw new Error("the request was not refused");
}
