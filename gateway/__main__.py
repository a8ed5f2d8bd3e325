"""``python -m sekisho.gateway``: the command ``sekisho``, where its script is not on the path."""

from sekisho.gateway.cli import main

if __name__ == "__main__":
    main(prog_name="sekisho")
