{{/*
A pod that runs commands of quantdesk, one after the other, and ends.
Call: include "qd.commands" (dict "root" $ "component" "features" "commands" list "resources" dict "ways" list "databases" list "deadline" 3600 "backup" false)
*/}}
{{- define "qd.commands" -}}
{{- $root := .root -}}
{{- $given := . -}}
{{- $last := sub (len .commands) 1 | int -}}
metadata:
  labels:
    {{- include "qd.labels" (list $root .component) | nindent 4 }}
    {{- include "qd.ways" .ways | nindent 4 }}
spec:
  {{- include "qd.pod" (list $root "batch") | nindent 2 }}
  restartPolicy: Never
  activeDeadlineSeconds: {{ .deadline }}
  {{- if gt (len .commands) 1 }}
  initContainers:
    {{- range $at, $command := initial .commands }}
    {{- include "qd.command" (merge (dict "at" $at "command" $command) $given) | nindent 4 }}
    {{- end }}
  {{- end }}
  containers:
    {{- include "qd.command" (merge (dict "at" $last "command" (last .commands)) .) | nindent 4 }}
  volumes:
    - name: state
      persistentVolumeClaim:
        claimName: {{ include "qd.stateClaim" $root }}
    {{- if .backup }}
    - name: backup
      persistentVolumeClaim:
        claimName: {{ $root.Values.backup.existingClaim | default (printf "%s-backup" (include "qd.name" $root)) }}
    {{- end }}
    {{- include "qd.scratch" $root | nindent 4 }}
{{- end }}

{{- define "qd.command" -}}
- name: step-{{ add .at 1 }}
  image: {{ include "qd.image" (list .root "" "") }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: {{ .command | toJson }}
  env:
    {{- include "qd.environment" .root | nindent 4 }}
    {{- with .databases }}
    {{- include "qd.databases" (list $.root .) | trim | nindent 4 }}
    {{- end }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- include "qd.containerSecurity" .root | nindent 4 }}
  volumeMounts:
    - name: state
      mountPath: /srv/quantdesk
    {{- if .backup }}
    - name: backup
      mountPath: /backup
    {{- end }}
    {{- include "qd.scratchMounts" .root | nindent 4 }}
{{- end }}
