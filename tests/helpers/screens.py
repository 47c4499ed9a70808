"""A command in a terminal: what the terminal receives, and the lines that a person then sees."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from command_line import COMMAND, ENVIRONMENT


def received(*arguments, cwd, columns=80, command=COMMAND, until=None, then=lambda process: None, **environment):
    """(exit code, all that came) of a command whose streams are a terminal; `then` is called when `until` has come."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {name: value for name, value in (ENVIRONMENT | environment).items() if name != "COLUMNS"}
    words = [*command, *map(str, arguments)]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    came = b""
    with subprocess.Popen(words, cwd=cwd, env=env, start_new_session=True, **streams) as process:
        os.close(theirs)
        try:
            while block := os.read(ours, 4096):
                came += block
                if until is not None and until in came:
                    until = then(process)
        except OSError:  # raised when the other side of the terminal is closed
            pass
        os.close(ours)
    return process.returncode, came.decode()


def seen(text, columns=80):
    """The lines of a terminal without end that received `text`: carriage returns go back, long lines wrap."""
    lines, row, column = [""], 0, 0
    for c in text:
        if c == "\r":
            column = 0
        elif c == "\n":
            row, lines = row + 1, lines + [""] * (row + 2 - len(lines))
        else:
            assert c.isprintable(), f"{c!r} is not understood here"
            if column == columns:
                row, column, lines = row + 1, 0, lines + [""] * (row + 2 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + c + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]
