"""The ledger at /metrics, and a watcher that holds it to its promise: at every scrape, for every destination and signal,
received = delivered + dropped + held."""

import collections
import re
import threading

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def parse(text):
    """{name: {labels as a sorted tuple of pairs: value}} of a page in Prometheus' text format."""
    families = collections.defaultdict(dict)
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        name, labels, value = match.groups()
        key = tuple(sorted(LABEL.findall(labels or "")))
        assert key not in families[name], f"twice on one page: {line!r}"
        families[name][key] = float(value)
    return families


class Account:
    """Of one destination and signal, in items."""

    def __init__(self):
        self.received = self.delivered = self.dropped = self.held = 0
        self.dropped_by_reason = collections.Counter()

    def closes(self):
        return self.received == self.delivered + self.dropped + self.held

    def __repr__(self):
        return (f"received {self.received:.0f} = delivered {self.delivered:.0f} + dropped {self.dropped:.0f} "
                f"+ held {self.held:.0f}")


def accounts(program):
    """{(destination, signal): Account} of a running program."""
    families = parse(program.metrics_text())
    result = collections.defaultdict(Account)
    for name, field in [("tributary_received_items_total", "received"), ("tributary_delivered_items_total", "delivered"),
                        ("tributary_dropped_items_total", "dropped"), ("tributary_held_items", "held")]:
        for labels, value in families[name].items():
            labels = dict(labels)
            account = result[labels["destination"], labels["signal"]]
            setattr(account, field, getattr(account, field) + value)
            if field == "dropped":
                account.dropped_by_reason[labels["reason"]] += value
    return dict(result)


class Watch:
    """Scrapes programs all the time a test lasts. Leaving the block fails the test if a ledger ever did not close.

    A program that is away (restarted by the test) is passed over.
    """

    def __init__(self, *programs):
        self.programs = programs
        self.scrapes = collections.Counter()
        self.open_accounts = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def _scrape(self, program):
        try:
            found = accounts(program)
        except OSError:
            return
        self.scrapes[program] += 1
        for key, account in found.items():
            if not account.closes():
                self.open_accounts.append((program.command[0], key, repr(account)))

    def _run(self):
        while not self.stopping.wait(0.05):
            for program in self.programs:
                self._scrape(program)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, exception_type, *_):
        self.stopping.set()
        self.thread.join()
        if exception_type is None:
            for program in self.programs:
                self._scrape(program)
                assert self.scrapes[program] > 1, f"{program.command[0]} was hardly scraped"
            assert not self.open_accounts, self.open_accounts[:5]
