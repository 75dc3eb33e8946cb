"""What finished in each hour, by domain, queue, task and outcome: kept long after the results are pruned."""
