// GPT-2's forward pass, one token after another, with the keys and values of earlier tokens in a cache.
// A matrix has rows of int8 and one scale per row: the weight in row r, column c is rows[r * nColumns + c] * scales[r].
// Letters: C width, D width of a head.
"use strict";

class Network {
  // tensors: a function from the name of a tensor to a matrix or a Float32Array.
  constructor(config, tensors) {
    this.config = config;
    this.tensors = tensors;
    this.tokenTable = tensors("token_embedding.weight");
    this.positionTable = tensors("position_embedding.weight");
    this.head = config.isTied ? this.tokenTable : tensors("head.weight");
    this.finalNorm = this.norm("final_norm");
    this.blocks = Array.from({ length: config.nLayers }, (_, number) => this.block(`blocks.${number}`));
    this.ids = []; // of the tokens in the cache
  }

  block(name) {
    const size = this.config.nPositions * this.config.width;
    return {
      attentionNorm: this.norm(`${name}.attention_norm`),
      qkv: this.linear(`${name}.attention.qkv`),
      projection: this.linear(`${name}.attention.projection`),
      mlpNorm: this.norm(`${name}.mlp_norm`),
      expand: this.linear(`${name}.mlp.expand`),
      contract: this.linear(`${name}.mlp.contract`),
      keys: new Float32Array(size), // (positions, C)
      values: new Float32Array(size),
    };
  }

  norm(name) {
    return { weight: this.tensors(`${name}.weight`), bias: this.tensors(`${name}.bias`) };
  }

  linear(name) {
    return { matrix: this.tensors(`${name}.weight`), bias: this.tensors(`${name}.bias`) };
  }

  // The last ids that fit the context. Beyond it, half a context of the oldest ids drops out, so that the cache of the
  // others is computed again only once per half context.
  window(ids) {
    const { nPositions } = this.config;
    const step = Math.max(1, nPositions >> 1);
    return ids.slice(Math.max(0, Math.ceil((ids.length - nPositions) / step)) * step);
  }

  // Keeps what the cache has in common with these ids and returns the ids to append, at least one.
  unread(ids) {
    let common = 0;
    while (common < ids.length - 1 && ids[common] === this.ids[common]) common++;
    this.ids.length = common;
    return ids.slice(common);
  }

  // Reads one more token.
  append(id) {
    const { width, epsilon } = this.config;
    const position = this.ids.length;
    const x = new Float32Array(width);
    addRow(this.tokenTable, id, x);
    addRow(this.positionTable, position, x);
    for (const block of this.blocks) {
      add(this.attention(block, normed(x, block.attentionNorm, epsilon), position), x);
      add(this.mlp(block, normed(x, block.mlpNorm, epsilon)), x);
    }
    this.ids.push(id);
    this.hidden = normed(x, this.finalNorm, epsilon);
  }

  // The logits of the token after the last one.
  logits() {
    return product(this.head, this.hidden);
  }

  attention({ qkv, projection, keys, values }, x, position) {
    const { width, nHeads } = this.config;
    const mixed = product(qkv.matrix, x, qkv.bias); // queries, keys, values: 3 C
    keys.set(mixed.subarray(width, 2 * width), position * width);
    values.set(mixed.subarray(2 * width), position * width);
    const result = new Float32Array(width);
    for (let head = 0; head < nHeads; head++) attend(mixed, keys, values, position, head, width, width / nHeads, result);
    return product(projection.matrix, result, projection.bias);
  }

  mlp({ expand, contract }, x) {
    const inner = product(expand.matrix, x, expand.bias);
    const activation = this.config.isGeluExact ? exactGelu : tanhGelu;
    for (let i = 0; i < inner.length; i++) inner[i] = activation(inner[i]);
    return product(contract.matrix, inner, contract.bias);
  }
}

// Adds to `result` the mean of one head's values, weighted by the softmax of query times key.
function attend(queries, keys, values, position, head, width, headWidth, result) {
  const first = head * headWidth;
  const scores = new Float64Array(position + 1);
  let largest = -Infinity;
  for (let other = 0; other <= position; other++) {
    let sum = 0;
    for (let i = first; i < first + headWidth; i++) sum += queries[i] * keys[other * width + i];
    scores[other] = sum / Math.sqrt(headWidth);
    largest = Math.max(largest, scores[other]);
  }
  let total = 0;
  for (let other = 0; other <= position; other++) total += scores[other] = Math.exp(scores[other] - largest);
  for (let other = 0; other <= position; other++) {
    const weight = scores[other] / total;
    for (let i = first; i < first + headWidth; i++) result[i] += weight * values[other * width + i];
  }
}

// matrix @ vector + bias: where nearly all the time goes. Four sums, because each addition would otherwise wait for the
// one before; float64, because JavaScript computes in it.
function product({ rows, scales, nColumns }, vector, bias = null) {
  const x = Float64Array.from(vector);
  const result = new Float32Array(scales.length);
  for (let row = 0; row < result.length; row++) {
    const start = row * nColumns;
    let a = 0, b = 0, c = 0, d = 0, i = 0;
    for (; i + 3 < nColumns; i += 4) {
      a += rows[start + i] * x[i];
      b += rows[start + i + 1] * x[i + 1];
      c += rows[start + i + 2] * x[i + 2];
      d += rows[start + i + 3] * x[i + 3];
    }
    for (; i < nColumns; i++) a += rows[start + i] * x[i];
    result[row] = (a + b + c + d) * scales[row] + (bias === null ? 0 : bias[row]);
  }
  return result;
}

function addRow({ rows, scales, nColumns }, row, x) {
  for (let i = 0; i < nColumns; i++) x[i] += rows[row * nColumns + i] * scales[row];
}

function add(other, x) {
  for (let i = 0; i < x.length; i++) x[i] += other[i];
}

// Layer norm: (x - mean) / sqrt(variance + epsilon) * weight + bias.
function normed(x, { weight, bias }, epsilon) {
  let mean = 0, variance = 0;
  for (const one of x) mean += one / x.length;
  for (const one of x) variance += (one - mean) ** 2 / x.length;
  const factor = 1 / Math.sqrt(variance + epsilon);
  return x.map((one, i) => (one - mean) * factor * weight[i] + bias[i]);
}

function tanhGelu(x) {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

// The error function by formula 7.1.26 of Abramowitz and Stegun, with an error below 1.5e-7.
function exactGelu(x) {
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = 0.5 * series * Math.exp(-z * z); // the normal distribution beyond |x|
  return x * (x < 0 ? tail : 1 - tail);
}

// The tensors in two blocks of bytes: float32 numbers (vectors and scales) and int8 rows.
function tensorsIn(layout, numbers, rows) {
  return (name) => {
    const { shape, number, row } = layout[name];
    const [nRows, nColumns] = shape;
    const own = numbers.subarray(number, number + nRows);
    if (nColumns === undefined) return own;
    return { rows: rows.subarray(row, row + nRows * nColumns), scales: own, nColumns };
  };
}
