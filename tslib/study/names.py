"""What figures, tables, sentences and verdicts call methods, models, tasks, settings and features: a person's words."""

__all__ = [
    "METHOD_NAMES",
    "PROMPT_METHODS",
    "feature_name",
    "grid_name",
    "method_name",
    "model_name",
    "prompt_method_name",
    "setting_name",
    "task_name",
]

METHOD_NAMES = {
    "none": "cross-entropy alone",
    "tsloss": "TSLoss",
    "tsloss-printed": "TSLoss as printed",
    "tsloss-normalized": "normalised TSLoss",
    "l2": "L2",
    "pairwise": "pairwise distance",
    "tsloss-h0": "TSLoss of H0 alone",
    "tsloss-h1": "TSLoss of H1 alone",
    "tsloss-adaptive": "TSLoss with adaptive weight",
    "tsloss-balanced": "TSLoss with H0 and H1 balanced",
    "random-direction": "random direction",
    "random-direction-matched": "random direction, as long as in TSLoss's run",
    "persistence": "exact homology",
    "orthogonality": "orthogonality",
    "push-h0-up": "longer H0 bars",
    "push-h0-down": "shorter H0 bars",
    "push-h1-up": "longer H1 bars",
    "push-h1-down": "shorter H1 bars",
    "push-entropy-up": "more entropy",
    "push-entropy-down": "less entropy",
}


def method_name(regularizer: str) -> str:
    """Return what figures and tables call a regulariser."""
    return METHOD_NAMES.get(regularizer, regularizer)


PROMPT_METHODS = {
    "prompt-tuning": "prompt tuning",
    "p-tuning": "P-tuning",
    "prefix-tuning": "prefix tuning",
    "p-tuning-v2": "P-tuning v2",
    "lora": "LoRA",
}


def prompt_method_name(method: str) -> str:
    """Return what people call a prompt method."""
    return PROMPT_METHODS.get(method, method)


_MODELS = {
    "smollm2-135m": "SmolLM2-135M",
    "gemma3-270m": "Gemma-3-270M",
    "gemma-2b-it": "Gemma-2B-IT",
    "open-llama-7b": "Open-LLaMA-7B",
    "deepseek-7b-chat": "DeepSeek-7B-Chat",
    "qwen1.5-14b-chat": "Qwen1.5-14B-Chat",
}


def model_name(model: str) -> str:
    """Return a model's name as its makers write it; that of a model without an entry as it is."""
    return _MODELS.get(model, model)


_TASKS = {
    "gsm8k": "GSM8K",
    "gsm-symbolic": "GSM-Symbolic",
    "math": "MATH",
    "bbh": "BIG-Bench Hard",
    "mmlu": "MMLU",
    "mmlu-cf": "MMLU-CF",
    "hotpotqa": "HotpotQA",
    "hotpotqa-short": "HotpotQA (short)",
    "longbench": "LongBench",
}


def task_name(task: str) -> str:
    """Return a benchmark's name as its makers write it, with that of its subset (``bbh/navigate``) behind a comma."""
    whole, _, subset = task.partition("/")
    return ", ".join(filter(None, (_TASKS.get(whole, whole), subset)))


def grid_name(grid: str) -> str:
    """Return the name of a grid of a sweep with the names of tasks, models and settings that people use.

    Examples
    --------
    >>> grid_name("one sample, gsm8k, SmolLM2"), grid_name("sensitivity, n_tokens"), grid_name("baselines, mmlu")
    ('one sample, GSM8K, SmolLM2', 'sensitivity, prompt length', 'baselines, MMLU')
    """
    words = (_TASKS.get(word) or _SETTINGS.get(word) or word for word in grid.split(", "))
    return ", ".join(words).replace("gsm8k's rate", "GSM8K's rate").replace("init vocabulary", "vocabulary start")


_SETTINGS = {
    "weight": "λ",
    "tau": "τ",
    "alpha": "α",
    "beta_h1": "β",
    "lambda_repel": "λ_repel",
    "metric": "distance",
    "n_tokens": "prompt length",
    "init": "initialisation",
    "dtype": "precision",
    "prompt_scale": "factor",
    "prompt_dtype": "precision of the prompt",
    "lr": "learning rate",
    "method": "prompt method",
}
_VALUES = {
    ("init", "vocabulary"): "vocabulary initialisation",
    ("init", "embedding-gaussian"): "Gaussian like the embeddings",
    ("init", "superposition"): "sums of embeddings",
    ("init", "text"): "text initialisation",
    ("init", "gaussian"): "Gaussian initialisation",
    ("prompt_scale", "none"): "factor 1",
    ("prompt_scale", "sqrt_d"): "factor √d",
    ("metric", "euclidean"): "Euclidean distance",
    ("metric", "cosine"): "cosine distance",
}


def setting_name(field: str, value: object = None) -> str:
    """Return the name of a field of ``TuneConfig``; with a value, that of the field at the value.

    Examples
    --------
    >>> setting_name("n_tokens"), setting_name("n_tokens", 50), setting_name("weight", 10.0)
    ('prompt length', '50 virtual tokens', 'λ = 10')
    """
    name = _SETTINGS.get(field, field)
    if value is None:
        return name
    if field in ("dtype", "prompt_dtype"):
        return str(value)
    shown = f"{value:g}" if isinstance(value, float) else value
    if field == "n_tokens":
        return f"{shown} virtual tokens"
    if field == "lr":
        return f"learning rate {shown}"
    return _VALUES.get((field, str(value)), f"{name} = {shown}")


_FEATURES = {
    "null_h0_mean_lifespan": "random twin's mean $H_0$ lifespan",
    "h0_mean_lifespan": "mean $H_0$ lifespan",
    "h1_mean_lifespan": "mean $H_1$ lifespan",
    "h1_count": "number of loops",
    "persistence_entropy": "persistence entropy",
    "density": "density",
    "h1_density": "$H_1$ density",
}


def feature_name(column: str, *, formulas: bool = True) -> str:
    """Return the name of a column of a topology table, in Markdown; for a table, which shows none, without formulas."""
    name = _FEATURES.get(column, column.replace("_", " "))
    return name if formulas else name.replace("$", "").replace("_", "")
