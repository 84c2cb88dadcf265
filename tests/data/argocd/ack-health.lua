-- The rules of Argo CD's health check for *.services.k8s.aws/*: the first condition that decides.
local answers = {
  ["ACK.Terminal"] = {True = "Degraded"},
  Ready = {True = "Healthy", False = "Progressing"},
}
for _, condition in ipairs(obj.status and obj.status.conditions or {}) do
  local code = (answers[condition.type] or {})[condition.status]
  if code ~= nil then
    return {status = code, message = code ~= "Healthy" and condition.message or ""}
  end
end
return {status = "Progressing", message = "Waiting for resource to be ready"}
