/**
 * Two sections of docs/SCALING.md: what capabilities cost that the sweep does not run, from records of their own; and what the clusters of the
 * plan cost beside bills that are published. Prices change; each names where it was read.
 */
import { count, short } from '#loadtest/options/figures.ts'
import type { ScalingModel } from './model.ts'
import { planOf } from './plan.ts'
import { type PlanQuestion, planQuestion } from './plan-question.ts'

/** What is not in the model: each is a figure of a record, and the record says on what machine. */
export function capabilitiesText(): string {
  return `## What capabilities add

The sweep sends telemetry over MQTT and nothing else. These figures are of records of their own, on other machines of two cores; the model does not add them up.
[All of them at once](benchmarks/capabilities.md) took 1.29 cores, a run that none of the records saw. By the table, beside what telemetry, its route and AMQPS took
alone, it is 1.22 on PostgreSQL and 1.73 with everything embedded. What a capability takes alone at a small rate says more about what wakes up with its first
message (commits, inserts) than about the next: such parts add up to 1.6 and 2.7 times of the whole.

| capability | a core carries | a GB holds | record |
|---|---|---|---|
| routing: conditions on a property, 1 % selected | 3.00 M messages/s; 1.51 M if properties never repeat | – | [r-selection](benchmarks/r-selection.md) |
| routing: a condition on the body, half selected | 1.13 M messages/s; 0.75 M with 100 of them | – | the same |
| routing: a route without condition | as good as nothing: whole batches pass | – | the same |
| twins: patches of reported properties, over MQTT until they are committed | 7,200/s on PostgreSQL, 4,100 embedded; at the store alone 23,300 and 14,000 | – | [t-reported](benchmarks/t-reported.md) |
| twins: changes of desired properties, from REST until the device has them | 1,150/s on PostgreSQL, 940 embedded | – | [t-desired](benchmarks/t-desired.md) |
| commands: their whole lives, at the store | 10,800/s on PostgreSQL, 6,400 embedded | – | [c-commands](benchmarks/c-commands.md) |
| direct methods, from REST to the device and back | 9,500/s | – | [m-methods](benchmarks/m-methods.md) |
| AMQP instead of MQTT, to take a message in and batch it | 2.3 M messages/s, where MQTT takes 3.3 M | 93,000 idle connections of a device each, 276,000 devices that share some; without sockets | [decision](decisions/0018-amqp.md) |
| provisioning: a registration with identity and first twin | 3,680/s on PostgreSQL, 2,469/s embedded | – | [p-provisioning](benchmarks/p-provisioning.md) |
| registry | 28,500 CONNECTs/s of devices that the edge has not met, 96,000/s of those that it has | 4 M devices in PostgreSQL, 1 M credentials in an edge's cache | [registry](benchmarks/registry.md) |
| TLS, full handshakes and resumed ones | 819/s and 890/s | – | [tls-storm](benchmarks/tls-storm.md) |

`
}

/** A month of 30 days. */
const hoursAMonth = 720
const secondsAMonth = hoursAMonth * 3_600
/** Of a machine as the plan assumes: 16 cores, 64 GB. Eight times m7g.large (2 cores, 8 GB), whose price was $0.0816. */
const machineDollarsAnHour = 8 * 0.0816
const hubUnitMessagesADay = 300e6
const hubUnitYuan = 25_440
/** Beyond the first few thousand million of a month. */
const dollarsAMillionMessages = 0.7

const compared: readonly { readonly title: string; readonly question: Partial<PlanQuestion> }[] = [
  { title: '1 M messages/s, 100 k devices', question: { rate: 1e6, devices: 1e5, 'messages-per-read': 10 } },
  { title: '1 M messages/s, 1 M devices', question: { rate: 1e6, devices: 1e6, 'batch-delay-ms': 100 } },
  {
    title: '100 M devices, a message each every five minutes',
    question: { rate: 333_333, devices: 1e8, 'batch-delay-ms': 1_000 },
  },
]

export function costsText(model: ScalingModel): string {
  const rows = compared.map(({ title, question }) => costRow(title, model, planQuestion(question)))
  return `## What it costs a month

Machines of the plans above at a published price, beside what two services publish for as many messages. Penstock's part is machines only: disks, traffic, load balancers and people come
on top of it. The services' part is messages only: connection minutes, rules, storage and the database of rows come on top of theirs.

| load | Penstock: to take in, on the log | with ClickHouse, 30 days of rows | disks, not priced | Azure IoT Hub | AWS IoT Core |
|---|---|---|---|---|---|
${rows.join('\n')}

- Machine: 16 cores and 64 GB as eight times m7g.large, $0.0816 an hour on demand in us-east-1 (factualminds.com, “Amazon EC2 On-Demand Pricing”, June 2026).
- Azure IoT Hub: units of S3, 300,000,000 messages a day each, ¥${count(hubUnitYuan)} a month with tax (azure.cn, “IoT Hub pricing”, read in November 2026). How many units one hub may have is another matter.
- AWS IoT Core: $0.70 a million messages, the lowest step of its list (as quoted by iotclass.org, “Cloud foundations”, read in November 2026).

`
}

function costRow(title: string, model: ScalingModel, question: PlanQuestion): string {
  const { parts } = planOf(model, question)
  const takesIn = parts.filter(({ name }) => !/ClickHouse|worker/.test(name))
  const machines = (some: typeof parts) => some.reduce((sum, { nodes }) => sum + nodes, 0)
  const priced = (some: typeof parts) =>
    `${count(machines(some))} machines, $${count(Math.round(machines(some) * machineDollarsAnHour * hoursAMonth))}`
  const diskTerabytes = parts.reduce((sum, { diskBytes }) => sum + diskBytes, 0) / 1e12
  const units = Math.ceil((question.rate * 86_400) / hubUnitMessagesADay)
  const another = (question.rate * secondsAMonth * dollarsAMillionMessages) / 1e6
  return `| ${title} | ${priced(takesIn)} | ${priced(parts)} | ${count(Math.ceil(diskTerabytes))} TB | ${count(units)} units, ¥${short(units * hubUnitYuan)} | $${short(another)} |`
}
