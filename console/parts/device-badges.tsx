import { Badge } from './notice.tsx'

export function Status({ of: status }: { readonly of: string }) {
  return <Badge tone={status === 'enabled' ? 'good' : 'bad'}>{status}</Badge>
}

export function Connection({ of: state }: { readonly of: string }) {
  const isConnected = state === 'Connected'
  return <Badge tone={isConnected ? 'good' : 'plain'}>{isConnected ? 'connected' : 'not connected'}</Badge>
}
