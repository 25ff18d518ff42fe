// Asks the admin endpoint. A token is kept for as long as the tab lives.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem("token"),
  set: (value) => sessionStorage.setItem("token", value),
  clear: () => sessionStorage.removeItem("token"),
};

// Whether the endpoint asks for a token that this tab has not got.
export async function lacksToken() {
  if (token.get()) return false;
  const response = await fetch("health", { cache: "no-store", signal: AbortSignal.timeout(30000) });
  return (await response.json()).needs_token === true;
}

export async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = {};
  if (token.get()) headers.authorization = `Bearer ${token.get()}`;
  if (body) headers["content-type"] = "application/json";
  const timeout = AbortSignal.timeout(30000);
  const response = await fetch(path, {
    method, headers, body: body && JSON.stringify(body), cache: "no-store",
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.message ?? `it answered ${response.status}`);
  return answer;
}
