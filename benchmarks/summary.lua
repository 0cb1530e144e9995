-- The result of wrk as one line of JSON. Nothing here runs per request.
function done(summary, latency, requests)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "failed": %d, "median": %.3f, "slow": %.3f}\n',
        summary.requests, summary.duration / 1e6, failed,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
