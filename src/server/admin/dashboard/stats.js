// What two looks at /stats say of the time between them. Counts only grow while a process lives: one that
// went back, or another pid, is a new process.

// A longer time between two looks is a gap: its sum says nothing of one second in it.
export const GAP = 5000;

export function sameProcess(now, before) {
  return before && before.pid === now.pid && total(now.routes, "requests") >= total(before.routes, "requests");
}

export function total(rows, key) {
  return rows.reduce((sum, row) => sum + row[key], 0);
}

// The earliest of the looks that are no older than so many seconds, if any.
export function since(looks, at, seconds) {
  return looks.find((look) => look.at < at && at - look.at <= seconds * 1000 + 500);
}

// The rows of now with what was added since before, matched by name.
export function added(now, before) {
  const old = new Map(before.map((row) => [row.name, row]));
  return now.map((row) => {
    const was = old.get(row.name);
    return was && was.requests <= row.requests ? { ...row, ...difference(row, was) } : row;
  });
}

function difference(now, was) {
  const out = {};
  for (const [key, value] of Object.entries(now)) {
    if (typeof value === "number") out[key] = value - (was[key] ?? 0);
    else if (Array.isArray(value)) out[key] = value.map((count, i) => count - (was[key]?.[i] ?? 0));
    else if (value && typeof value === "object") out[key] = difference(value, was[key] ?? {});
  }
  return out;
}

export function sumBuckets(rows) {
  return rows.reduce((sum, row) => row.latency.map((count, i) => count + (sum[i] ?? 0)), []);
}

// In milliseconds, by linear interpolation within a bucket; null without requests. Above all bounds it is
// the last bound, which is the least that is known.
export function percentile(buckets, bounds, part) {
  const count = buckets.reduce((sum, n) => sum + n, 0);
  if (!count) return null;
  let left = part * count;
  for (let i = 0; i < buckets.length; i += 1) {
    if (left <= buckets[i] && buckets[i] > 0) {
      if (i >= bounds.length) return bounds[bounds.length - 1];
      const from = i ? bounds[i - 1] : 0;
      return from + (bounds[i] - from) * (left / buckets[i]);
    }
    left -= buckets[i];
  }
  return bounds[bounds.length - 1];
}

export const text = {
  count: (n) => (n >= 1e6 ? `${(n / 1e6).toFixed(1)} M` : n >= 1e4 ? `${(n / 1e3).toFixed(1)} k` : String(Math.round(n))),
  rate: (n) => (n >= 1e4 ? `${(n / 1e3).toFixed(1)} k` : n >= 100 || n === 0 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2)),
  millis: (n) => (n === null ? "–" : n >= 1000 ? `${(n / 1000).toFixed(n >= 10000 ? 1 : 2)} s` : n >= 100 ? `${n.toFixed(0)} ms` : n >= 10 ? `${n.toFixed(1)} ms` : `${n.toFixed(2)} ms`),
  percent: (n) => (n === 0 ? "0 %" : n < 0.1 ? "< 0.1 %" : n < 10 ? `${n.toFixed(1)} %` : `${n.toFixed(0)} %`),
  bytes: (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
    return `${n >= 100 || unit === 0 ? n.toFixed(0) : n.toFixed(1)} ${units[unit]}`;
  },
  age: (seconds) => {
    const [d, h, m, s] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.floor(seconds % 60)];
    return d ? `${d} d ${h} h` : h ? `${h} h ${m} min` : m ? `${m} min` : `${s} s`;
  },
};
