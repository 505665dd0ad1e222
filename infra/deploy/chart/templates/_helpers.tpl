{{- define "penstock.labels" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "penstock.name" -}}
{{ printf "%s-%s" .root.Release.Name .role | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "penstock.metadata" -}}
name: {{ include "penstock.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "penstock.labels" . | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/* The Secret with the certificate of edges or of control. */}}
{{- define "penstock.tlsSecret" -}}
{{- $named := ternary .root.Values.tls.edgeSecret .root.Values.tls.controlSecret (eq .role "edge") -}}
{{ $named | default (printf "%s-tls" (include "penstock.name" .)) }}
{{- end }}

{{/* Which secrets a role needs: it sees no others. */}}
{{- define "penstock.secretsOf" -}}
{{- $all := list "PENSTOCK_KAFKA_PASSWORD" "PENSTOCK_OTLP_URL" "PENSTOCK_OTLP_HEADERS" -}}
{{- $needed := dict
  "edge" (list "PENSTOCK_POSTGRES_URL" "PENSTOCK_UPLOADS_S3_SECRET_ACCESS_KEY")
  "worker" (list "PENSTOCK_CLICKHOUSE_PASSWORD")
  "router" (list "PENSTOCK_CLICKHOUSE_PASSWORD" "PENSTOCK_POSTGRES_URL" "PENSTOCK_SECRETS_KEY")
  "control" (list "PENSTOCK_CLICKHOUSE_PASSWORD" "PENSTOCK_CLICKHOUSE_READONLY_PASSWORD" "PENSTOCK_POSTGRES_URL" "PENSTOCK_SECRETS_KEY" "PENSTOCK_OWNER_KEY") -}}
{{- range $name := concat $all (get $needed .role) }}
{{- with get $.root.Values.secrets.keys $name }}
{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* Settings of a role that are no secrets: the chart's, everybody's, its own; the last wins. */}}
{{- define "penstock.settingsOf" -}}
{{- $values := .root.Values -}}
{{- $settings := dict
  "PENSTOCK_BIND" "0.0.0.0"
  "PENSTOCK_HOSTNAME" (join "," $values.hostnames)
  "PENSTOCK_IDENTITIES" "required"
  "PENSTOCK_KAFKA_BROKERS" $values.kafka.brokers
  "PENSTOCK_KAFKA_REPLICAS" ($values.kafka.replicas | toString) -}}
{{- if ne .role "edge" -}}
  {{- $_ := set $settings "PENSTOCK_CLICKHOUSE_URL" $values.clickhouse.url -}}
  {{- $_ := set $settings "PENSTOCK_CLICKHOUSE_USER" $values.clickhouse.user -}}
{{- end -}}
{{- if has .role (list "edge" "control") -}}
  {{- $_ := set $settings "PENSTOCK_TLS_CERT" "/etc/penstock/tls/tls.crt" -}}
  {{- $_ := set $settings "PENSTOCK_TLS_KEY" "/etc/penstock/tls/tls.key" -}}
{{- end -}}
{{- if eq .role "edge" -}}
  {{- $control := include "penstock.name" (dict "root" .root "role" "control") -}}
  {{- $_ := set $settings "PENSTOCK_CONTROL_URL" (printf "https://%s.%s.svc:8443" $control .root.Release.Namespace) -}}
  {{- $_ := set $settings "PENSTOCK_CONTROL_CA" "/etc/penstock/control/ca.crt" -}}
  {{- $_ := set $settings "PENSTOCK_DOWNLINK_PORT" "7883" -}}
{{- end -}}
{{- range $name, $value := merge (dict) (get $values .role).settings $values.settings $settings }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
