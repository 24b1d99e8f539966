"""The report of a run: one offline page and one terminal table, made from results.json."""
