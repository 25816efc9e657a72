"""Stamped pages (盖章页): printed with a code, signed and sealed on paper, scanned in any order, matched by the code, bundled. No seal is drawn."""
