#!/bin/sh
# Pretraining as in the second report: what each trick buys, characters of Shakespeare, a small base on web text.
#
#   sh examples/02_pretraining/pretraining.sh ../shared/data runs/examples [SETTING=VALUE ...]
#
# Further settings go to every training: train.max_steps=3 tries the whole script out.
set -eu
data=$1 out=$2
shift 2
configs=$(dirname "$0")/../configs
mkdir -p "$out"

echo "== The tricks, one added to the other"
bytemill ladder -o "$out/ladder.html"

echo "== Shakespeare in GPT-2's tokens"
bytemill data prepare "$data/tinyshakespeare/input.txt" -t "$data/gpt2_vocab" -o "$out/gpt2_tokens" --val 0

echo "== Shakespeare by characters"
bytemill tokenizer train "$data/tinyshakespeare/input.txt" --vocab-size 257 -o "$out/bytes.json"
bytemill data prepare "$data/tinyshakespeare/input.txt" -t "$out/bytes.json" -o "$out/characters" --val 0.1
bytemill train -c "$configs/shakespeare-cpu.toml" -o "$out/shakespeare" \
    --set data.path="$out/characters" data.tokenizer="$out/bytes.json" "$@"
bytemill generate -m "$out/shakespeare" -t "$out/bytes.json" --samples 5 --max-new-tokens 64 --seed 42 "ROMEO:"

echo "== A base for the next examples: web text and an encyclopedia"
text="$data/web_text/c4_demo.jsonl $data/web_text/wiki_demo.txt"
bytemill tokenizer train $text --vocab-size 4096 -o "$out/tokenizer.json"
bytemill data prepare $text -t "$out/tokenizer.json" -o "$out/web" --val 0.05
bytemill train -c "$configs/small-base.toml" -o "$out/base" \
    --set data.path="$out/web" data.tokenizer="$out/tokenizer.json" "$@"
bytemill eval loss -m "$out/base" -d "$out/web" -t "$out/tokenizer.json"
bytemill eval hellaswag -m "$out/base" -t "$out/tokenizer.json" -d "$data/hellaswag/hellaswag_val_1000.jsonl"
bytemill generate -m "$out/base" -t "$out/tokenizer.json" --samples 5 --max-new-tokens 32 --seed 42 \
    "Hello, I'm a language model,"

bytemill report "$out/shakespeare" "$out/base" -o "$out/pretraining.html"
