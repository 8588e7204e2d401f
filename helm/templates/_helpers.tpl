{{- define "gateway.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "gateway.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "gateway.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "gateway.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "gateway.selector" -}}
app.kubernetes.io/name: {{ include "gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{ include "gateway.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "gateway.image" -}}
{{- with .Values.image }}
{{- $name := .repository }}
{{- if .registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .registry) .repository }}{{ end }}
{{- if .digest }}{{ printf "%s@%s" $name .digest }}{{ else }}{{ printf "%s:%s" $name (.tag | default $.Chart.AppVersion) }}{{ end }}
{{- end }}
{{- end }}

{{- define "gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "gateway.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* The Secret with the store's key; empty when AWS's provider chain supplies it. */}}
{{- define "gateway.storeSecret" -}}
{{- if .Values.store.existingSecret }}
{{- .Values.store.existingSecret }}
{{- else if .Values.store.accessKey }}
{{- include "gateway.fullname" . }}-store
{{- end }}
{{- end }}

{{/* The Secret with the key file. Where neither it nor the file is given, the pods wait until somebody creates it. */}}
{{- define "gateway.keysSecret" -}}
{{- .Values.keys.existingSecret | default (printf "%s-keys" (include "gateway.fullname" .)) }}
{{- end }}

{{/* A pause, the deadline twice (for transfers, then for those that hang on), and time for the scorers to end. */}}
{{- define "gateway.gracePeriod" -}}
{{- add .Values.drain.pauseSeconds (mul 2 .Values.drain.deadlineSeconds) 10 }}
{{- end }}

{{- define "gateway.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The pod of `helm test`, as a peer of the network policy. */}}
{{- define "gateway.testPod" -}}
{{- if .Values.tests.enabled }}
- podSelector:
    matchLabels:
      app.kubernetes.io/name: {{ include "gateway.name" . }}-test
      app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end }}
