"""``python -m pipeline``: the ``overtile`` command; ``--call N``: one call of the Python API."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or serve the call that another process hands over."""
    if len(sys.argv) == 3 and sys.argv[1] == "--call":
        _serve(int(sys.argv[2]))
        return
    from pipeline.cli.__main__ import main as command

    command()


def _serve(descriptor: int) -> None:
    """Run one call and write its answer to ``descriptor``."""
    import os
    from functools import partial

    from pipeline.api.child_process.serve import described, read_call, run_call, write_answer
    from pipeline.cli.exits import report
    from pipeline.cli.open_files import lacks_open_files, raise_open_files, too_few
    from pipeline.cli.stop import stopping
    from pipeline.cli.streams import environment_secrets, redacted_stderr
    from pipeline.core.redaction import redact
    from pipeline.errors import ConfigError, interrupted
    from pipeline.gdal.environment import isolate_environment

    os.set_inheritable(descriptor, False)  # noqa: FBT003 - as os has it
    call = read_call()
    shown = partial(redact, secrets=environment_secrets(os.environ))
    with redacted_stderr(), stopping():
        try:
            raise_open_files()
            isolate_environment()
            answer = {"value": run_call(call, report=report)}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) or interrupted(error):
                sys.exit(130)
            if not isinstance(error, Exception):
                raise
            if lacks_open_files(error):
                error = ConfigError(too_few())
            answer = {"error": described(error, redact=shown)}
        write_answer(descriptor, answer)


if __name__ == "__main__":
    main()
