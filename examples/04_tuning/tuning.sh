#!/bin/sh
# Classification, instructions, a judge and preferences, as in the fifth report.
#
#   sh examples/04_tuning/tuning.sh ../shared/data runs/examples [SETTING=VALUE ...]
#
# It starts from the base of examples/02_pretraining, in the same folder, or from MODEL and TOKENIZER where they are set.
# JUDGE names a model behind Ollama; without it a stand-in grades, which counts shared words. Further settings go to
# every training: train.max_steps=3 tries the whole script out.
set -eu
data=$1 out=$2
shift 2
here=$(dirname "$0")
configs=$here/../configs
model=${MODEL:-$out/base} tokenizer=${TOKENIZER:-$out/tokenizer.json}

echo "== Spam or not"
classify() {
    name=$1 rate=$2 lowest=$3
    shift 3
    bytemill finetune classify -c "$configs/spam.toml" --model "$model" -t "$tokenizer" \
        --data "$data/sms_spam/SMSSpamCollection" -o "$out/spam_$name" \
        --set train.learning_rate="$rate" train.min_learning_rate="$lowest" "$@"
}
classify head 5e-3 5e-4 classify.train_layers=head "$@"
classify last_block 1e-3 1e-4 "$@"
classify lora 2e-3 2e-4 lora.r=16 lora.lora_alpha=16 "$@"
classify all 5e-4 5e-5 classify.train_layers=all "$@"
python "$here/count_words.py" "$data/sms_spam/SMSSpamCollection"
bytemill classify -m "$out/spam_all" -t "$tokenizer" "You are a winner: claim your £1000 cash prize, call now"
bytemill classify -m "$out/spam_all" -t "$tokenizer" "Hey, are we still on for dinner tonight?"

echo "== Instructions"
rows=$data/llms_from_scratch/instruction-data-with-preference.json
full="train.learning_rate=1e-3 train.min_learning_rate=1e-4 train.micro_batches=1 data.batch_size=8"
bytemill finetune instruct -c "$configs/instruct.toml" --model "$model" -t "$tokenizer" --data "$rows" --lora-rank 0 \
    -o "$out/tuned" --set $full "$@"

echo "== Preferences"
preference() {
    name=$1
    shift
    bytemill finetune preference -c "$configs/preference.toml" --model "$out/tuned" -t "$tokenizer" --data "$rows" \
        -o "$out/$name" --set data.seq_len=256 "$@"
}
preference dpo train.learning_rate=5e-5 "$@"
preference dpo_lora train.learning_rate=1e-3 lora.r=8 "$@"
models="-m tuned=$out/tuned -m dpo=$out/dpo -m dpo_lora=$out/dpo_lora"
bytemill eval prompts $models -t "$tokenizer" --rows "$rows" --split test --n-rows 8 --temperature 0 \
    --max-new-tokens 40 --page "$out/three_ways.html"

echo "== A judge"
for name in tuned dpo dpo_lora; do
    bytemill generate -m "$out/$name" -t "$tokenizer" --rows "$rows" --split test --temperature 0 \
        --max-new-tokens 48 --batch-size 16 -o "$out/$name.json"
done
judge="--judge ${JUDGE:-}"
if [ -z "${JUDGE:-}" ]; then
    python "$here/stand_in_judge.py" 11435 &
    trap "kill $! 2> /dev/null || true" EXIT
    judge="--judge shared-words --url http://127.0.0.1:11435"
fi
for rubric in quality safety; do
    bytemill eval judge "$out/tuned.json" "$out/dpo.json" "$out/dpo_lora.json" $judge --rubric $rubric \
        --page "$out/judge_$rubric.html"
done

bytemill report "$out"/spam_* "$out/tuned" "$out/dpo" "$out/dpo_lora" -o "$out/tuning.html"
