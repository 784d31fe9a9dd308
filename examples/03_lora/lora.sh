#!/bin/sh
# LoRA as in three of the reports: reviews, instructions, ranks, one setting at a time, and the models side by side.
#
#   sh examples/03_lora/lora.sh ../shared/data runs/examples [SETTING=VALUE ...]
#
# It starts from the base of examples/02_pretraining, in the same folder, or from MODEL and TOKENIZER where they are set.
# Further settings go to every training: train.max_steps=3 tries the whole script out.
set -eu
data=$1 out=$2
shift 2
here=$(dirname "$0")
configs=$here/../configs
model=${MODEL:-$out/base} tokenizer=${TOKENIZER:-$out/tokenizer.json}
settings="train.learning_rate=2e-3 train.min_learning_rate=2e-4 train.micro_batches=1 data.batch_size=8 data.eval_batches=8"

echo "== What trains in Bloom-560m"
python "$here/count_parameters.py"

echo "== Reviews and instructions"
bytemill finetune lm -c "$configs/lora-imdb.toml" --model "$model" -t "$tokenizer" --data "$data/imdb/imdb_small.csv" \
    -o "$out/imdb" --set $settings "$@"
bytemill finetune instruct -c "$configs/instruct.toml" --model "$model" -t "$tokenizer" \
    --data "$data/alpaca/alpaca_en_demo.json" -o "$out/alpaca" --set $settings "$@"

echo "== Three models, two data sets, ten prompts"
models="-m base=$model -m imdb=$out/imdb -m alpaca=$out/alpaca"
bytemill eval matrix $models -t "$tokenizer" --split test --max-tokens 256 --page "$out/matrix.html" \
    -d imdb="$data/imdb/imdb_small.csv" -d alpaca="$data/alpaca/alpaca_en_demo.json"
bytemill eval prompts $models -t "$tokenizer" --max-new-tokens 32 --page "$out/prompts.html"

echo "== Ranks, and all parameters"
rows="base=$model data.path=$data/alpaca/alpaca_en_demo.json data.tokenizer=$tokenizer"
bytemill sweep -c "$configs/sweep_rank.toml" -o "$out/ranks" --set $rows data.max_rows=300 train.epochs=12 \
    sample.max_new_tokens=40 "$@"

echo "== One setting at a time"
bytemill sweep -c "$configs/sweep_lora.toml" -o "$out/settings" --set $rows data.max_rows=500 train.epochs=1 \
    sample.max_new_tokens=40 "$@"
