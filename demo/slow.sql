SELECT bid, count(*), avg(abalance)
FROM pgbench_accounts
GROUP BY bid
ORDER BY count(*) DESC;
