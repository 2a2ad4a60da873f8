{{/* One name for everything, whatever the release is called: two managers would hand out the same addresses. */}}
{{- define "manager.name" -}}
capi-vip-allocator-controller-manager
{{- end }}

{{/* HTTPS has a port of its own, as with other Cluster API providers. */}}
{{- define "manager.metricsPort" -}}
{{ ternary 8443 8080 .Values.metrics.secure.enabled }}
{{- end }}

{{/* The role of those who may read the secure metrics. */}}
{{- define "manager.metricsReader" -}}
capi-vip-allocator-metrics-reader
{{- end }}

{{/* The role that lets VIPs be carried to Rancher and Fleet, and its binding. */}}
{{- define "manager.propagation" -}}
capi-vip-allocator-propagation
{{- end }}

{{/* The role that allows writes where they are not allowed everywhere, and its binding. */}}
{{- define "manager.writer" -}}
capi-vip-allocator-writer
{{- end }}

{{/* The roles of those who may reserve VIPs: what they write, and what they read. */}}
{{- define "manager.reserver" -}}
capi-vip-allocator-reserver
{{- end }}
{{- define "manager.viewer" -}}
capi-vip-allocator-viewer
{{- end }}

{{/* patch, never update: a PUT would drop the fields of a newer Cluster API. */}}
{{- define "manager.writes" -}}
- apiGroups: [cluster.x-k8s.io]
  resources: [clusters, clusters/status]
  verbs: [patch]
- apiGroups: [ipam.cluster.x-k8s.io]
  resources: [ipaddressclaims]
  verbs: [create, patch, delete]
# A claim is bound to the IPAddress that was made for it, and a VIP that somebody typed is
# booked by one, which is deleted when the VIP changes.
- apiGroups: [ipam.cluster.x-k8s.io]
  resources: [ipaddresses]
  verbs: [create, delete]
{{- end }}

{{/* The policy, its binding, and the ConfigMap that switches it. */}}
{{- define "manager.holdGate" -}}
capi-vip-allocator-hold
{{- end }}

{{/* The manager knows these names: its certificate is for this Service and stands in this Secret. */}}
{{- define "manager.hookService" -}}
capi-vip-allocator-runtime-extension
{{- end }}
{{- define "manager.hookSecret" -}}
{{ include "manager.hookService" . }}-tls
{{- end }}

{{/* Selectors are immutable: nothing that changes with a version belongs here. */}}
{{- define "manager.selector" -}}
control-plane: {{ include "manager.name" . }}
{{- end }}

{{- define "manager.labels" -}}
{{ include "manager.selector" . }}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (replace "+" "_" .Chart.Version) }}
cluster.x-k8s.io/provider: addon-capi-vip-allocator
{{- end }}

{{- define "manager.image" -}}
{{- $registry := coalesce (((.Values.global).cattle).systemDefaultRegistry) .Values.image.registry -}}
{{- with $registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Namespace, labels and annotations of an object for Prometheus or Grafana: what the root says, then its own values. */}}
{{- define "manager.monitoringMetadata" -}}
{{- $root := index . 0 }}
{{- $values := index . 1 -}}
namespace: {{ $values.namespace | default $root.Release.Namespace }}
labels:
  {{- merge (dict) ($values.labels | default dict) (include "manager.labels" $root | fromYaml) | toYaml | nindent 2 }}
{{- with $values.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Not empty if a gate of this chart holds every new Cluster back, so that classes need none. */}}
{{- define "manager.gatesEveryCluster" -}}
{{- $hold := .Values.holdGate }}
{{- $hook := .Values.runtimeExtension }}
{{- if and $hold.enabled (not $hold.namespaceSelector) (not $hold.objectSelector) }}hold{{ end }}
{{- if and $hook.enabled $hook.extensionConfig.create (not $hook.extensionConfig.namespaceSelector) }}hook{{ end }}
{{- end }}
