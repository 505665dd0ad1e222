import { CodeBlock } from '#console/parts/code-block.tsx'
import { Card, Page } from '#console/parts/page.tsx'
import type { ScreenProps } from '#console/screens.ts'

export function FirstMinuteScreen({ session }: ScreenProps) {
  return (
    <Page title="First minute" lead="Send a message, and watch it arrive.">
      <Card title="A device sends">
        <CodeBlock label="command" text={`mosquitto_pub -p ${session.ports.mqtt}`} />
      </Card>
    </Page>
  )
}
