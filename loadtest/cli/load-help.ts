import { bodyBytesMin } from '#loadtest/generate/body-layout.ts'
import { loadDefaults } from '#loadtest/options/load-options.ts'
import { shapeHelp, shapeNames } from '#loadtest/workload/shapes.ts'

/** A shorter one can be guessed by whoever a coordinator once took for an agent. */
export const secretLengthMin = 16

/** The help of a load run; it is the options' documentation. */
export const loadHelp = `Usage: npm run loadtest -- [options]

Sends messages over MQTT, AMQP 1.0 or HTTP, keeps a ledger of what was sent and acknowledged, and compares it with the rows in ClickHouse. A workload file may
also have reported and desired properties, methods and commands, each with a ledger of its own.

  --url <address>           target: mqtt, mqtts, ws, wss, amqp, amqps, amqp+ws, amqp+wss, http or https://host:port;
                            over HTTP each device waits for its answer before it sends again (${loadDefaults.url})
  --connections <n>         devices, one connection each (${loadDefaults.connections})
  --devices-per-connection <n>  over AMQP: devices that share a connection, as behind a gateway; of registered ones (${loadDefaults.devicesPerConnection})
  --connect-rate <n>        connections a second while they are opened; 0: as fast as the target accepts them (${loadDefaults.connectRate})
  --qos <0|1>               over AMQP 0 sends messages as settled (${loadDefaults.qos})
  --protocol <4|5>          MQTT 3.1.1 or 5 (${loadDefaults.protocol})
  --body-bytes <n>          size of the JSON body, from ${bodyBytesMin} (${loadDefaults.bodyBytes})
  --body-template <text>    instead: JSON with seeded values, as '{"t": \${float(18,26,1)}, "n": \${int(0,9)}, "door": \${choice(open,closed)},
                            "text": \${hex(16)}}'; sequence number and time come before its members
  --rate <n|saturate>       messages a second over all connections, sent on an absolute schedule whatever the target does (${loadDefaults.rate});
                            0 only connects; saturate: as many as the target takes
  --burst <n>               messages a device sends together when its turn comes (${loadDefaults.burst})
  --window <n>              unacknowledged messages a connection, QoS 1 (${loadDefaults.window})
  --seconds <n>             how long to send (${loadDefaults.seconds})
  --warm-up <n>             first seconds of them that are not in the latencies (${loadDefaults.warmUpSeconds})
  --messages <n>            stop after so many messages over all connections
  --processes <n>           generator processes, on each machine (${loadDefaults.processes})
  --seed <n>                seed of everything random (${loadDefaults.seed})
  --run <name>              name in the device ids load-<name>-000000 … (made from the time)
  --clickhouse <url|none>   where the rows are counted (http://127.0.0.1:8123)
  --table <name>            (${loadDefaults.table})
  --quiet-seconds <n>       without a new row for so long, what is missing is lost (${loadDefaults.quietMsMax / 1000})
  --shape <name>            rate over time: ${shapeNames.join(', ')}, see below
  --workload <file>         JSON or YAML (.yaml, .yml): several kinds of devices in one run, by loadtest/workload/workload.schema.json
  --search                  the highest --rate that meets --slo, from the given one on, each tried for --seconds
  --cpus <list>             pin the generator to these CPUs, e.g. 1 or 0,2-3 (Linux)

Transport and identities:

  --tls-ca <file.pem>       authority behind the target's certificate
  --insecure                take any certificate
  --source-addresses <n|…>  connect from 127.0.0.1 … 127.0.0.n, or from these addresses in turn; one carries 28,000 connections
  --accounts <file.csv>     lines username,password, taken by the devices in turn
  --owner-key <base64>      where identities are required: registers the run's devices first, and deletes them at the end; a service
                            by this key is at the other end of workloads that are not telemetry
  --data-dir <folder>       the same with the key that a Penstock of this machine keeps there
  --registry <url>          its REST API (http://127.0.0.1:8080)
  --hub-name <name>         its PENSTOCK_HOSTNAME (localhost)

Several machines:

  --agent <[host:]port>     hold generators for a coordinator elsewhere; nothing else is sent, SIGINT ends it; 0: a free port
  --agents <host:port,…>    coordinate: --processes generators on each of these agents, instead of on this machine
  --agent-secret-file <f>   what agents and coordinator both hold, at least ${secretLengthMin} characters; needed beyond loopback

Thresholds and results:

  --slo <name=value,…>      e.g. puback_p99_ms=50,stored_p99_ms=1000,acknowledged_per_s=20000; a missed one fails the run
  --report <file|none>      a page with charts, and the whole result as JSON beside it (./data/loadtest/<run>.html)
  --compare <result.json>   show the difference to an earlier result in the report
  --json <file>             write the JSON there instead; - for standard output instead of the screen
  --metrics <url|none>      the target's own counters (http://127.0.0.1:8080/metrics)

Shapes:

${shapeNames.map((name) => `  ${name.padEnd(26)}${shapeHelp[name]}`).join('\n')}

Faults: npm run loadtest -- --scenario list
What a cluster needs for a load: npm run loadtest -- --plan --help

Exit code: 0 all acknowledged messages are stored exactly once and in order, and the thresholds are met; 1 not so; 2 the run itself
failed; 3 the generator was the limit, so the figures prove nothing. docs/LOADTEST.md says what the numbers mean.
Latencies count from the moment a message was to be sent, also when the target or the generator was late.`
