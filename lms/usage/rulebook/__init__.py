"""The office's rule book (规则参数): numbers of the rule packs as the office that owns them sets them, version by version."""
