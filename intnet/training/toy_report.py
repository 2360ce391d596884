def write_report(out, found):
    pass
