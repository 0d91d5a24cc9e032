"""A command's exit code, whether its ``main`` returns or its parser exits."""


def exit_code_of(main, arguments):
    try:
        return main(arguments)
    except SystemExit as ended:
        return ended.code
