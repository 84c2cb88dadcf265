{{- define "trainingjob-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Names of Services and label values allow 63 characters and, unlike names of releases, no dots. */}}
{{- define "trainingjob-operator.fullname" -}}
{{- $name := include "trainingjob-operator.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- .Values.fullnameOverride | default $full | replace "." "-" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "trainingjob-operator.metrics-service" -}}
{{- include "trainingjob-operator.fullname" . | trunc 55 | trimSuffix "-" }}-metrics
{{- end -}}

{{- define "trainingjob-operator.test" -}}
{{- include "trainingjob-operator.fullname" . | trunc 58 | trimSuffix "-" }}-test
{{- end -}}

{{/* Roles outside the namespace of the release: two releases of one name must not share them. */}}
{{- define "trainingjob-operator.role" -}}
{{ .Release.Namespace }}:{{ include "trainingjob-operator.fullname" . }}
{{- end -}}

{{- define "trainingjob-operator.service-account" -}}
{{- .Values.serviceAccount.name | default (include "trainingjob-operator.fullname" .) -}}
{{- end -}}

{{- define "trainingjob-operator.selector-labels" -}}
app.kubernetes.io/name: {{ include "trainingjob-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trainingjob-operator.labels" -}}
{{ include "trainingjob-operator.selector-labels" . }}
app.kubernetes.io/part-of: trainingjob-operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "trainingjob-operator.scrape-annotations" -}}
{{- if not .Values.serviceMonitor.enabled -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ int .Values.deployment.containerPort | quote }}
{{- end -}}
{{- end -}}

{{- define "trainingjob-operator.role-labels" -}}
{{ include "trainingjob-operator.labels" . }}
{{- with .Values.role.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "trainingjob-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespaces to serve, comma-separated; empty with installScope=cluster. */}}
{{- define "trainingjob-operator.namespaces" -}}
{{- if eq .Values.installScope "namespace" -}}
{{- $names := list -}}
{{- range splitList "," (.Values.watchNamespace | default .Release.Namespace) -}}
{{- $names = append $names (trim .) -}}
{{- end -}}
{{- uniq $names | join "," -}}
{{- end -}}
{{- end -}}

{{/* Non-empty where IAMRoleSelectors are served: they are cluster-scoped. */}}
{{- define "trainingjob-operator.role-selectors" -}}
{{- if and (eq .Values.installScope "cluster") (dig "IAMRoleSelector" true (.Values.featureGates | default dict)) -}}
true
{{- end -}}
{{- end -}}

{{- define "trainingjob-operator.args" -}}
- run
{{- with include "trainingjob-operator.namespaces" . }}
- --watch-namespace={{ . }}
{{- end }}
{{- with .Values.watchSelectors }}
- {{ printf "--watch-selectors=%s" . | quote }}
{{- end }}
{{- with .Values.aws }}
{{- with .endpoint_url }}
- --aws-endpoint-url={{ . }}
{{- end }}
{{- with .identity_endpoint_url }}
- --aws-identity-endpoint-url={{ . }}
{{- end }}
{{- if .allow_unsafe_aws_endpoint_urls }}
- --allow-unsafe-aws-endpoint-urls
{{- end }}
{{- with .allowed_endpoint_urls }}
- {{ printf "--allowed-endpoint-urls=%s" (join "," .) | quote }}
{{- end }}
{{- with .assume_role_external_id }}
- {{ printf "--assume-role-external-id=%s" . | quote }}
{{- end }}
{{- with .event_queue_url }}
- --event-queue-url={{ . }}
{{- end }}
{{- end }}
{{- with .Values.clusterID }}
- --cluster-id={{ . }}
{{- end }}
{{- with .Values.adoptionNamespaces }}
- --adoption-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.resourceTags }}
- {{ printf "--resource-tags=%s" (join "," .) | quote }}
{{- end }}
- --deletion-policy={{ .Values.deletionPolicy }}
{{- if ne nil .Values.ttlSecondsAfterFinished }}
- --ttl-seconds-after-finished={{ int .Values.ttlSecondsAfterFinished }}
{{- end }}
{{- if not .Values.enableCARM }}
- --enable-carm=false
{{- end }}
{{- if not (include "trainingjob-operator.role-selectors" .) }}
- --feature-gates=IAMRoleSelector=false
{{- end }}
{{- with .Values.accountMapNamespace }}
- --system-namespace={{ . }}
{{- end }}
- --max-concurrent-reconciles={{ dig "TrainingJob" .Values.reconcile.defaultMaxConcurrentSyncs (.Values.reconcile.resourceMaxConcurrentSyncs | default dict) | int }}
{{- if .Values.leaderElection.enabled }}
- --enable-leader-election
{{- with .Values.leaderElection.namespace }}
- --leader-election-namespace={{ . }}
{{- end }}
{{- end }}
- --log-level={{ .Values.log.level }}
{{- if .Values.log.enable_development_logging }}
- --enable-development-logging
{{- end }}
{{- if ne (int .Values.deployment.containerPort) 8080 }}
- --metrics-addr=0.0.0.0:{{ int .Values.deployment.containerPort }}
{{- end }}
{{- if ne (int .Values.deployment.healthPort) 8081 }}
- --healthz-addr=0.0.0.0:{{ int .Values.deployment.healthPort }}
{{- end }}
{{- range .Values.deployment.extraArgs }}
- {{ quote . }}
{{- end }}
{{- end -}}

{{/* Rights, by place. The operator never writes a spec, creates a TrainingJob or reads a Secret; it deletes finished
     TrainingJobs only with a time to live. */}}
{{- define "trainingjob-operator.rules.jobs" -}}
- apiGroups: [sagemaker.services.k8s.aws]
  resources: [trainingjobs]
  verbs: [get, list, watch, patch] # patch: finalizers and annotations
{{- if or .Values.rbac.deleteFinishedObjects (ne nil .Values.ttlSecondsAfterFinished) }}
- apiGroups: [sagemaker.services.k8s.aws]
  resources: [trainingjobs]
  verbs: [delete] # finished objects, after their time to live
{{- end }}
- apiGroups: [sagemaker.services.k8s.aws]
  resources: [trainingjobs/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{ end -}}

{{- define "trainingjob-operator.rules.cluster" -}}
{{ include "trainingjob-operator.rules.jobs" . -}}
- apiGroups: [""]
  resources: [namespaces] # annotations with region, account and policies; the UID of kube-system
  verbs: [get, list, watch]
{{- if include "trainingjob-operator.role-selectors" . }}
- apiGroups: [services.k8s.aws]
  resources: [iamroleselectors] # ACK's; they select the role and account of objects
  verbs: [list, watch]
{{- end }}
{{ end -}}

{{- define "trainingjob-operator.rules.namespace" -}}
{{ include "trainingjob-operator.rules.jobs" . -}}
- apiGroups: [""]
  resources: [namespaces] # annotations of this namespace; a Role permits to read its own namespace by name
  verbs: [get]
{{ end -}}

{{- define "trainingjob-operator.rules.cluster-id" -}}
- apiGroups: [""]
  resources: [namespaces] # its UID is the cluster ID
  resourceNames: [kube-system]
  verbs: [get]
{{ end -}}

{{- define "trainingjob-operator.rules.lease" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [trainingjob-operator.sagemaker.services.k8s.aws]
  verbs: [get, update]
{{ end -}}

{{- define "trainingjob-operator.rules.account-map" -}}
- apiGroups: [""]
  resources: [configmaps]
  resourceNames: [ack-role-account-map] # account to role, for namespaces with an owner-account-id
  verbs: [get, list, watch]
{{ end -}}

{{/* Fails with a sentence on values that values.schema.json cannot judge. */}}
{{- define "trainingjob-operator.validate" -}}
{{- $values := .Values -}}
{{- if not $values.aws.region -}}
{{- fail "aws.region is required: set it to the default region of the training jobs, for example --set aws.region=eu-west-1." -}}
{{- end -}}
{{- if and $values.watchNamespace (eq $values.installScope "cluster") -}}
{{- fail "watchNamespace needs installScope=namespace: with installScope=cluster the operator serves all namespaces." -}}
{{- end -}}
{{- range splitList "," ($values.watchNamespace | default "") -}}
{{- if and $values.watchNamespace (not (regexMatch "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$" (trim .))) -}}
{{- fail (printf "watchNamespace must be a comma-separated list of namespace names; %q is none." .) -}}
{{- end -}}
{{- end -}}
{{- range $values.resourceTags -}}
{{- if ne (len (splitList "=" .)) 2 -}}
{{- fail (printf "resourceTags must have the form key=value, each with one '='; %q does not." .) -}}
{{- end -}}
{{- end -}}
{{- range list "endpoint_url" "identity_endpoint_url" -}}
{{- $url := index $values.aws . | default "" -}}
{{- if and $url (not (regexMatch "^https?://[^/]" $url)) -}}
{{- fail (printf "aws.%s must be a URL, for example https://host:443; it is %q." . $url) -}}
{{- end -}}
{{- if and (hasPrefix "http:" $url) (not $values.aws.allow_unsafe_aws_endpoint_urls) -}}
{{- fail (printf "aws.%s must be an https URL unless aws.allow_unsafe_aws_endpoint_urls is true." .) -}}
{{- end -}}
{{- end -}}
{{- if and $values.image.digest (not (regexMatch "^sha256:[0-9a-f]{64}$" $values.image.digest)) -}}
{{- fail "image.digest must be sha256: and 64 hexadecimal digits." -}}
{{- end -}}
{{- if and (not $values.serviceAccount.create) (not $values.serviceAccount.name) -}}
{{- fail "serviceAccount.name is required with serviceAccount.create=false." -}}
{{- end -}}
{{- if not $values.leaderElection.enabled -}}
{{- if gt (int $values.deployment.replicas) 1 -}}
{{- fail (printf "deployment.replicas=%d needs leaderElection.enabled=true: without it every replica would act on every job." (int $values.deployment.replicas)) -}}
{{- end -}}
{{- if eq (dig "type" "" ($values.deployment.strategy | default dict)) "RollingUpdate" -}}
{{- fail "deployment.strategy RollingUpdate needs leaderElection.enabled=true: old and new Pod would act on every job." -}}
{{- end -}}
{{- end -}}
{{- if and $values.reconcile.resources (not (has "TrainingJob" $values.reconcile.resources)) -}}
{{- fail "reconcile.resources does not contain TrainingJob, the only kind of this operator: add it, or leave reconcile.resources out." -}}
{{- end -}}
{{- if and $values.priorityClassName $values.deployment.priorityClassName (ne $values.priorityClassName $values.deployment.priorityClassName) -}}
{{- fail "priorityClassName and deployment.priorityClassName differ: set one of them." -}}
{{- end -}}
{{- if and $values.crds.install (not $values.crds.keep) (ne $values.crds.confirmDeletion "delete-every-trainingjob") -}}
{{- fail "crds.keep=false makes the end of the release delete the CRD, every TrainingJob, and so stop every job: leave crds.keep=true, or confirm with crds.confirmDeletion=delete-every-trainingjob." -}}
{{- end -}}
{{- range (lookup "apps/v1" "Deployment" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $release := index $labels "app.kubernetes.io/instance" | default $.Release.Name -}}
{{- if and (eq (index $labels "app.kubernetes.io/part-of" | default "") "trainingjob-operator") (ne $release $.Release.Name) -}}
{{- fail (printf "namespace %s has the release %s of this chart already: both would share one Lease, and one would not act. Use another namespace." $.Release.Namespace $release) -}}
{{- end -}}
{{- end -}}
{{- $set := list "AWS_REGION" "K8S_NAMESPACE" -}}
{{- if $values.aws.credentials.secretName -}}
{{- $set = concat $set (list "AWS_SHARED_CREDENTIALS_FILE" "AWS_PROFILE") -}}
{{- end -}}
{{- range $values.deployment.extraEnvVars -}}
{{- if has .name $set -}}
{{- fail (printf "deployment.extraEnvVars must not contain %s: the chart sets it from other values." .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
