"""`bytemill finetune preference`: tune a model on preferred and rejected answers."""

from bytemill.cli.after_tuning import tune
from bytemill.cli.run_options import PreferenceOptions, takes_options


@takes_options(PreferenceOptions, task="preference", output="runs/preference")
def preference(options: PreferenceOptions) -> None:
    """Tune a model on pairs of answers, one preferred and one rejected (DPO).

    Each row has a prompt, a chosen answer and a rejected answer. The model learns to prefer the chosen answers, but
    stays close to the base model.

    Example: bytemill finetune preference --model runs/tuned --data preferences.json -t tokenizer.json
    """
    resolved = options.resolved("preference")
    from bytemill.tasks.preference import preference_task_from_config

    tune(options, preference_task_from_config(resolved))
