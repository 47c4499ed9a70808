"""An argparse parser that reports errors in one line and suggests a replacement for an unknown flag."""

import argparse
from difflib import get_close_matches

from ..errors import ConfigError
from .model_options import as_text, default_options

NO_SHORT_FORMS = ("--label",)  # an option of some commands; on others it must not abbreviate --label-column


class Parser(argparse.ArgumentParser):
    """A parser whose message about an unknown flag suggests what to type instead.

    That is a flag with a similar name, or --set with the model's option of that name.
    """

    def parse_known_args(self, args=None, namespace=None):
        self.words = list(args)
        if not self._passes_on() and not {"-h", "--help"} & {*self.words}:
            self._check_flags()
        return super().parse_known_args(args, namespace)

    def error(self, message):
        """Raise `ConfigError`, in one line, for bad input. A model's option with the flag's name is suggested."""
        flag = message.removeprefix("argument ").partition(":")[0]
        owner, _ = self._options().get(flag.strip("-"), (None, None))
        if owner in self.words and flag in self.words:
            message += f"; to set the model's option, use {self._settings(self._values_after(flag))[flag.strip('-')]}"
        self._refuse(message)

    def _refuse(self, message):
        command = next(iter(self.words), "") if self._subparsers is not None else ""
        known = command in self._subparsers._group_actions[0].choices if command else False
        raise ConfigError(f"{message} (see {self.prog}{f' {command}' if known else ''} --help)")

    def _passes_on(self):
        return any(action.nargs == argparse.REMAINDER for action in self._actions)

    def _check_flags(self):
        for word in self.words:
            if word == "--" or self._subparsers is not None and not word.startswith("-"):
                return  # the words that follow are no flags, or belong to a subcommand's parser
            flag, equals, value = word.partition("=")
            if self._is_unknown(flag):
                self._refuse(f"{self.prog} has no option {flag}{self._signpost(flag, [value] if equals else None)}")

    def _is_unknown(self, flag):
        """Whether a word looks like a flag but is none of this parser's. "-n8" is the flag -n, and "-8" is a number."""
        if not flag.startswith("-") or not flag.strip("-") or flag[1] in "0123456789.":
            return False
        if flag.startswith("--"):
            known = self._option_string_actions
            return flag not in known and (flag in NO_SHORT_FORMS or not any(name.startswith(flag) for name in known))
        return flag[:2] not in self._option_string_actions

    def _signpost(self, flag, values=None):
        """The end of the message: ": use --set hidden=512", ": did you mean --seed?", or "" without a suggestion.

        values: the flag's values, by default the words after it.
        """
        name = flag.strip("-").replace("-", "_")
        known = self._settings(self._values_after(flag) if values is None else values)
        for own, action in self._option_string_actions.items():
            if own.startswith("--"):
                known[own.strip("-").replace("-", "_")] = own
                if action.help.startswith(name.replace("_", " ")):  # --learning-rate for --lr
                    known.setdefault(name, own)
        if name in known:
            return f": use {known[name]}"
        near = get_close_matches(name, known, n=1)
        return f": did you mean {known[near[0]]}?" if near else ""

    def _values_after(self, flag):
        values = []
        for word in self.words[self.words.index(flag) + 1 :]:
            if word.startswith("-") or word in _models():
                break
            values.append(word)
        return values

    def _settings(self, values):
        """{name: the text of --set that gives a model's option these values}, and {no_NAME: the text for false}."""
        found = {}
        for option, (owner, default) in self._options().items():
            whose = "" if owner in self.words else f", an option of {owner}"
            text = ",".join(values if isinstance(default, tuple) else values[:1])
            if isinstance(default, bool):
                text = text or "true"
                found[f"no_{option}"] = f"--set {option}=false{whose}"
            found[option] = f"--set {option}={text or as_text(default)}{whose}"
        return found

    def _options(self):
        """{option: (model, default)} for commands with --set; a model named on the command line comes first."""
        found = {}
        if "--set" in self._option_string_actions:
            for name in sorted(_models(), key=lambda name: name not in self.words):
                for option, default in default_options(_models()[name]).items():
                    found.setdefault(option, (name, default))
        return found


def _models():
    from ..models import NAMES

    return NAMES
