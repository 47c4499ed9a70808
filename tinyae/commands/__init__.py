"""What the commands of the command line do, and their options.

COMMAND(arguments) returns an exit code, None for 0; COMMAND_options(parser) adds the command's options.
"""
