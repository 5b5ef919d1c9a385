{{/* The beginning of every name. Not the release's: the values below jupyterhub: name our objects, and cannot compute. */}}
{{- define "qd.name" -}}{{ .Values.name }}{{- end }}

{{/* Labels of an object; of another version than the chart's, if it is one. Call: include "qd.labels" (list . "component" version) */}}
{{- define "qd.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: quantdesk
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- $version := "" -}}{{- if gt (len .) 2 -}}{{- $version = index . 2 -}}{{- end }}
app.kubernetes.io/version: {{ $version | default $root.Values.image.tag | default $root.Chart.AppVersion | trunc 63 | trimAll "-_." | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{/* Labels that pods are found by; they never change. */}}
{{- define "qd.selector" -}}
app.kubernetes.io/name: quantdesk
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/*
The image of our processes: by digest where one is given. Another version than image's has a tag or a digest of its own.
Call: include "qd.image" (list . tag digest)
*/}}
{{- define "qd.image" -}}
{{- $root := index . 0 -}}
{{- $image := $root.Values.image -}}
{{- $digest := index . 2 | default (ternary "" $image.digest (ne (index . 1) "")) -}}
{{- if $digest -}}
{{ $image.repository }}@{{ $digest }}
{{- else -}}
{{ $image.repository }}:{{ index . 1 | default $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/*
The beginning of the names of the hub that the door and the service lead to: none for zero-to-jupyterhub's own names,
else `jupyterhub.fullnameOverride` of this release, or of the other one that `activeHub` names.
*/}}
{{- define "qd.hubPrefix" -}}
{{- with .Values.activeHub | default .Values.jupyterhub.fullnameOverride -}}{{ . }}-{{- end -}}
{{- end }}
{{- define "qd.proxy" -}}{{ include "qd.hubPrefix" . }}proxy-public{{- end }}
{{- define "qd.hubApi" -}}{{ .Values.web.hubApi | default (printf "http://%shub:8081/hub/api" (include "qd.hubPrefix" .)) }}{{- end }}

{{/* Labels of the pods of that hub's release; its name is that of `activeHub`. */}}
{{- define "qd.hubRelease" -}}{{ .Values.activeHub | default .Release.Name }}{{- end }}

{{/* The Pod Security Standard "restricted", for a pod. */}}
{{- define "qd.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.account }}
runAsGroup: {{ .Values.account }}
fsGroup: {{ .Values.account }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The same for a container. */}}
{{- define "qd.containerSecurity" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* What every pod of ours has beside its containers. Call: include "qd.pod" (list . "priority") */}}
{{- define "qd.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "qd.name" $root }}
automountServiceAccountToken: false
# With it, Services of the namespace would set variables such as QUANTDESK_SERVICE_PORT=tcp://...
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "qd.podSecurity" $root | nindent 2 }}
{{- if $root.Values.priorityClasses.enabled }}
priorityClassName: {{ $root.Release.Namespace }}-{{ include "qd.name" $root }}-{{ index . 1 }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* One variable from the Secret. Call: include "qd.secret" (list . "VARIABLE" "key" optional) */}}
{{- define "qd.secret" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ (index . 0).Values.secrets.existingSecret }}
      key: {{ index . 2 }}
      {{- if gt (len .) 3 }}
      optional: true
      {{- end }}
{{- end }}

{{/* Settings that every process of ours has. No secret is among them: each gets those that it needs, and no others. */}}
{{- define "qd.environment" -}}
- name: QUANTDESK_STATE
  value: /srv/quantdesk
- name: QUANTDESK_LOG_FORMAT
  value: {{ .Values.logs.format }}
- name: HOME
  value: /tmp/home
- name: NUMBA_CACHE_DIR
  value: /tmp/numba
{{- range $key, $value := .Values.settings }}
- name: {{ $key }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{/*
The databases that a process needs: each has an account of its own, so that notebooks cannot read the hub's tables.
Call: include "qd.databases" (list . (list "database" "reports"))
*/}}
{{- define "qd.databases" -}}
{{- $root := index . 0 -}}
{{- $keys := $root.Values.secrets.keys -}}
{{- $known := dict "database" (list "QUANTDESK_DATABASE" $keys.database) "redis" (list "QUANTDESK_REDIS" $keys.redis) "hub" (list "QUANTDESK_HUB_DATABASE" $keys.hubDatabase) "reports" (list "QUANTDESK_REPORTS_LEDGER_URL" $keys.reportsDatabase) "ledger" (list "QUANTDESK_LEDGER_URL" $keys.ledgerDatabase) -}}
{{- range $name := index . 1 }}
{{- if or (ne $name "redis") $root.Values.secrets.redis }}
{{- $given := index $known $name }}
{{ include "qd.secret" (list $root (index $given 0) (index $given 1)) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a process may write beside the state: nothing of it is kept. */}}
{{- define "qd.scratchMounts" -}}
- name: scratch
  mountPath: /tmp
{{- end }}
{{- define "qd.scratch" -}}
- name: scratch
  emptyDir:
    sizeLimit: {{ .Values.scratch }}
{{- end }}

{{- define "qd.stateClaim" -}}{{ .Values.state.existingClaim | default (printf "%s-state" (include "qd.name" .)) }}{{- end }}

{{/* Labels by which the network policies let a pod out. Call: include "qd.ways" (list "database" "internet") */}}
{{- define "qd.ways" -}}
{{- range . }}
quantdesk/to-{{ . }}: "true"
{{- end }}
{{- end }}
