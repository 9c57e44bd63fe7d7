"""`make torture`: every abuse the service must survive, as one table of test, bound and figure.

A row of the table is named in `tests.torture.rows`. Any test, anywhere below `tests/`, is part of a
row by its marker, and says what it saw with the fixture `record_figure`:

    @pytest.mark.torture                       # only if it is too long for `make test`
    @pytest.mark.torture_row("images")
    def test_a_bomb_is_refused(record_figure: RecordFigure) -> None:
        ...
        record_figure("slowest answer, s", slowest)
        record_figure("answers 5xx", failures, fold=sum)
        assert slowest < 1

A figure is recorded before it is asserted, so that the table shows it when it falls short too. The
figures of a row's tests are folded by label: the largest (the default), `min`, or `sum`. A row
passes when at least one test carries it and all of them passed; a skipped one did not run. The
markers `slow` and `torture` say nothing here: the runner runs whatever carries a row.
"""
