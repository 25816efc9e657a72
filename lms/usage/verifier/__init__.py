"""What checks a pack of evidence anywhere (离线校验); ``verify.py`` is one file that travels with the pack."""
