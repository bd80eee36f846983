"""The command line: parse, call, print."""

import logging
import signal
import sys
from collections.abc import Sequence

from jsonargparse import Namespace

from neurosweep import commands, console
from neurosweep.errors import NeurosweepError
from neurosweep.options import build_parser, spell_out

OK, FAILED, USAGE = 0, 1, 2
_SIGNAL_BASE = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        0 done, 1 failed, 2 bad usage or configuration, 130 interrupted, 143 terminated.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    parser = build_parser()
    try:
        given = parser.parse_args(spell_out(sys.argv[1:] if argv is None else argv), defaults=False)
    except SystemExit as stop:  # --help, or a complaint that is printed already
        return OK if stop.code in (None, 0) else USAGE
    if not given.get("command"):
        parser.print_help()
        return USAGE
    return _run(given)


def _run(given: Namespace) -> int:
    command = commands.COMMANDS[given["command"]]
    try:
        return command(given[given["command"]].as_dict())
    except NeurosweepError as error:
        console.show_error(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _SIGNAL_BASE + signal.SIGINT
    except BrokenPipeError:  # `neurosweep leaderboard NAME | head`
        sys.stderr.close()
        return OK
    except commands.Interruption as stop:
        return _SIGNAL_BASE + stop.number


if __name__ == "__main__":
    sys.exit(main())
