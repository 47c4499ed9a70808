"""The commands of the command line, one file for each or for a few related ones.

COMMAND(arguments) runs a command and returns its exit code, or None for 0. COMMAND_options(parser) adds its options to
an argparse parser.
"""
