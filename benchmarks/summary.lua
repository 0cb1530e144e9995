-- The result of wrk as one line of JSON. Nothing here runs per request.
function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.status + errors.timeout
    local closed = errors.read + errors.write
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "failed": %d, "closed": %d, "median": %.3f, "slow": %.3f}\n',
        summary.requests, summary.duration / 1e6, failed, closed,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
