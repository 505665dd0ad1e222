/** Commands that send a message as a device. They run as they stand, in a shell of this machine or of one that reaches it. */

export interface Sender {
  /** Of the installation, as the browser reached it. */
  readonly host: string
  readonly ports: Readonly<Record<string, number>>
  readonly deviceId: string
  /** `undefined`: nobody is asked for one. */
  readonly key: string | undefined
  /** Credentials must not go there without TLS. */
  readonly isRemote: boolean
}

export interface Command {
  readonly id: string
  readonly title: string
  /** What must be there for it. */
  readonly needs: string
  readonly text: string
}

const body = '{"temperature":21.5}'

export function commandsOf(sender: Sender): readonly Command[] {
  return [
    { id: 'mqtt', title: 'mosquitto_pub', needs: 'mosquitto-clients', text: mosquitto(sender) },
    { id: 'curl', title: 'curl', needs: 'curl', text: curl(sender) },
    { id: 'python', title: 'Python', needs: 'Python 3, no package', text: python(sender) },
    { id: 'node', title: 'Node.js', needs: 'Node.js 18, no package', text: node(sender) },
    {
      id: 'mqttjs',
      title: 'MQTT.js',
      needs: 'Node.js; run it in the folder of Penstock, which has the package',
      text: mqttJs(sender),
    },
    { id: 'java', title: 'Java', needs: 'a JDK, 17 or later, no package', text: java(sender) },
    { id: 'csharp', title: 'C#', needs: 'the .NET SDK, 10 or later, no package', text: csharp(sender) },
  ]
}

function mosquitto({ host, ports, deviceId, key, isRemote }: Sender): string {
  const isTls = isRemote && ports.mqtts !== undefined
  const words = [
    'mosquitto_pub',
    ...['-h', quoted(host), '-p', String(isTls ? ports.mqtts : ports.mqtt)],
    ...(isTls ? ['--capath', '/etc/ssl/certs'] : []),
    ...['-q', '1', '-i', quoted(deviceId)],
    ...(key === undefined ? [] : ['-u', quoted(deviceId), '-P', quoted(key)]),
    ...['-t', quoted(`devices/${deviceId}/messages/events/`), '-m', quoted(body)],
  ]
  return words.join(' ')
}

function curl(sender: Sender): string {
  const key = sender.key === undefined ? '' : `-H ${quoted(`Authorization: ${sender.key}`)} `
  return `curl -i ${quoted(urlOf(sender))} -H 'Content-Type: application/json' ${key}--data ${quoted(body)}`
}

function python(sender: Sender): string {
  return `python3 - <<'END'
import urllib.request
request = urllib.request.Request(${JSON.stringify(urlOf(sender))}, data=b'${body}', headers=${JSON.stringify(headersOf(sender))})
print(urllib.request.urlopen(request).status)
END`
}

function node(sender: Sender): string {
  return `node --input-type=module <<'END'
const headers = ${JSON.stringify(headersOf(sender))}
const answer = await fetch(${JSON.stringify(urlOf(sender))}, { method: 'POST', headers, body: '${body}' })
console.log(answer.status, await answer.text())
END`
}

function mqttJs({ host, ports, deviceId, key, isRemote }: Sender): string {
  const isTls = isRemote && ports.mqtts !== undefined
  const url = isTls ? `mqtts://${host}:${ports.mqtts}` : `mqtt://${host}:${ports.mqtt}`
  const options = { clientId: deviceId, ...(key === undefined ? {} : { username: deviceId, password: key }) }
  const lines = [
    "node --input-type=module <<'END'",
    "import mqtt from 'mqtt'",
    `const client = await mqtt.connectAsync(${JSON.stringify(url)}, ${JSON.stringify(options)})`,
    `await client.publishAsync(${JSON.stringify(`devices/${deviceId}/messages/events/`)}, '${body}', { qos: 1 })`,
    'await client.endAsync()',
    'END',
  ]
  return lines.join('\n')
}

function java(sender: Sender): string {
  const headers = Object.entries(headersOf(sender)).map(
    ([name, value]) => `.header(${literal(name)}, ${literal(value)})`,
  )
  return `cat > Send.java <<'END'
import java.net.URI;
import java.net.http.*;
class Send {
  public static void main(String[] none) throws Exception {
    var body = HttpRequest.BodyPublishers.ofString(${literal(body)});
    var request = HttpRequest.newBuilder(URI.create(${literal(urlOf(sender))}))${headers.join('')}.POST(body).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
  }
}
END
java Send.java`
}

function csharp(sender: Sender): string {
  const { 'Content-Type': type = '', ...others } = headersOf(sender)
  const headers = Object.entries(others).map(
    ([name, value]) => `request.Headers.TryAddWithoutValidation(${literal(name)}, ${literal(value)});\n`,
  )
  return `cat > Send.cs <<'END'
using System.Net.Http;
using System.Text;
using var client = new HttpClient();
using var request = new HttpRequestMessage(HttpMethod.Post, ${literal(urlOf(sender))});
request.Content = new StringContent(${literal(body)}, Encoding.UTF8, ${literal(type)});
${headers.join('')}Console.WriteLine((int)(await client.SendAsync(request)).StatusCode);
END
dotnet run --file Send.cs`
}

/** A text of Java and of C#, which have the escapes of JSON. */
function literal(text: string): string {
  return JSON.stringify(text)
}

function urlOf({ host, ports, deviceId, isRemote }: Sender): string {
  const origin =
    isRemote && ports.https !== undefined ? `https://${host}:${ports.https}` : `http://${host}:${ports.http}`
  return `${origin}/devices/${encodeURIComponent(deviceId)}/messages/events`
}

function headersOf({ key }: Sender): Readonly<Record<string, string>> {
  return { 'Content-Type': 'application/json', ...(key === undefined ? {} : { Authorization: key }) }
}

/** One word of a shell, whatever is in it. */
function quoted(text: string): string {
  return /^[\w./:@-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
