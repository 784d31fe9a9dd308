// Byte-level BPE: the ids of a text, as bytemill's tokenizer gives them, and the bytes of an id.
// Bytes are kept in strings, one character from U+0000 to U+00FF per byte, because strings can be keys of a Map.
"use strict";

class Tokenizer {
  // tokens: per id its bytes in hexadecimal, or null; special: per special id its text; merges: pairs of ids, in order.
  constructor({ pattern, tokens, special, merges, ignoreMerges }) {
    this.pattern = pattern;
    this.special = special;
    this.tokens = tokens.map((hex) => (hex === null ? null : bytesOfHex(hex)));
    this.ids = new Map();
    this.tokens.forEach((bytes, id) => { if (bytes !== null && !this.ids.has(bytes)) this.ids.set(bytes, id); });
    this.merges = new Map(merges.map(([left, right], rank) => [keyOf(left, right), rank]));
    this.results = merges.map(([left, right]) => this.ids.get(this.tokens[left] + this.tokens[right]));
    this.ignoresMerges = ignoreMerges;
  }

  // A special token's text is ordinary text here.
  encode(text) {
    return pretokens(text, this.pattern).flatMap((pretoken) => this.merged(bytesOf(pretoken)));
  }

  merged(bytes) {
    if (this.ignoresMerges && this.ids.has(bytes)) return [this.ids.get(bytes)];
    const ids = Array.from(bytes, (byte) => this.ids.get(byte));
    const ranks = ids.map((_, place) => this.rankAt(ids, place)); // of the pair that begins at each place
    for (;;) {
      let best = 0;
      for (let place = 1; place < ranks.length; place++) if (ranks[place] < ranks[best]) best = place;
      if (!(ranks[best] < Infinity)) return ids;
      ids.splice(best, 2, this.results[ranks[best]]);
      ranks.splice(best + 1, 1);
      ranks[best] = this.rankAt(ids, best);
      if (best > 0) ranks[best - 1] = this.rankAt(ids, best - 1);
    }
  }

  rankAt(ids, place) {
    return place + 1 < ids.length ? this.merges.get(keyOf(ids[place], ids[place + 1])) ?? Infinity : Infinity;
  }

  // A Uint8Array; a special token has the bytes of its text, and an id without a token has none.
  bytes(id) {
    if (id in this.special) return new TextEncoder().encode(this.special[id]);
    return Uint8Array.from(this.tokens[id] ?? "", (byte) => byte.charCodeAt(0));
  }
}

// The pieces of a text within which bytes are merged.
function pretokens(text, pattern) {
  return text.toWellFormed().match(new RegExp(pattern, "gu")) ?? [];
}

function bytesOf(text) {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
}

function bytesOfHex(hex) {
  return hex.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16)));
}

function keyOf(left, right) {
  return left * 2 ** 24 + right; // ids are below 2^24
}
