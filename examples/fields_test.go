package examples

// fields are those fields below spec.template.spec that the classes use. Each was compared
// with the Go types, and where it matters with the webhooks, of the provider. An entry that
// ends where an object begins stands for the empty object.
var fields = map[string]string{
	"infrastructure.cluster.x-k8s.io/v1alpha1 ProxmoxClusterTemplate": `
		controlPlaneEndpoint.host controlPlaneEndpoint.port dnsServers[]
		ipv4Config.addresses[] ipv4Config.gateway ipv4Config.prefix`,
	"infrastructure.cluster.x-k8s.io/v1alpha1 ProxmoxMachineTemplate": `
		memoryMiB network.default.bridge network.default.model numCores sourceNode templateID`,

	"infrastructure.cluster.x-k8s.io/v1beta1 VSphereClusterTemplate": `
		controlPlaneEndpoint.host controlPlaneEndpoint.port
		identityRef.kind identityRef.name server thumbprint`,
	"infrastructure.cluster.x-k8s.io/v1beta1 VSphereMachineTemplate": `
		cloneMode datacenter datastore diskGiB folder memoryMiB
		network.devices[].dhcp4 network.devices[].networkName
		numCPUs resourcePool server template`,

	"infrastructure.cluster.x-k8s.io/v1beta2 Metal3ClusterTemplate": `
		cloudProviderEnabled controlPlaneEndpoint.host controlPlaneEndpoint.port`,
	"infrastructure.cluster.x-k8s.io/v1beta2 Metal3MachineTemplate": `
		image.checksum image.checksumType image.diskFormat image.url`,

	"infrastructure.cluster.x-k8s.io/v1beta1 HarvesterClusterTemplate": `
		controlPlaneEndpoint.host controlPlaneEndpoint.port
		identitySecret.name identitySecret.namespace
		loadBalancerConfig.ipPool.gateway loadBalancerConfig.ipPool.rangeEnd
		loadBalancerConfig.ipPool.rangeStart loadBalancerConfig.ipPool.subnet
		loadBalancerConfig.ipPool.vmNetwork loadBalancerConfig.ipamType
		loadBalancerConfig.listeners[].backendPort loadBalancerConfig.listeners[].name
		loadBalancerConfig.listeners[].port loadBalancerConfig.listeners[].protocol
		targetNamespace`,
	"infrastructure.cluster.x-k8s.io/v1beta1 HarvesterMachineTemplate": `
		cpu memory networks[] sshKeyPair sshUser volumes[].bootOrder
		volumes[].imageName volumes[].volumeSize volumes[].volumeType`,

	"infrastructure.cluster.x-k8s.io/v1beta2 DevClusterTemplate": `
		backend.docker controlPlaneEndpoint.host controlPlaneEndpoint.port`,
	"infrastructure.cluster.x-k8s.io/v1beta2 DevMachineTemplate": `
		backend.docker backend.docker.customImage`,

	"controlplane.cluster.x-k8s.io/v1beta2 KubeadmControlPlaneTemplate": `
		kubeadmConfigSpec.clusterConfiguration.apiServer.certSANs[]
		kubeadmConfigSpec.clusterConfiguration.controllerManager.extraArgs[].name
		kubeadmConfigSpec.clusterConfiguration.controllerManager.extraArgs[].value
		kubeadmConfigSpec.files[].content kubeadmConfigSpec.files[].owner
		kubeadmConfigSpec.files[].path kubeadmConfigSpec.files[].permissions
		kubeadmConfigSpec.initConfiguration.nodeRegistration.kubeletExtraArgs[].name
		kubeadmConfigSpec.initConfiguration.nodeRegistration.kubeletExtraArgs[].value
		kubeadmConfigSpec.initConfiguration.nodeRegistration.name
		kubeadmConfigSpec.joinConfiguration.nodeRegistration.kubeletExtraArgs[].name
		kubeadmConfigSpec.joinConfiguration.nodeRegistration.kubeletExtraArgs[].value
		kubeadmConfigSpec.joinConfiguration.nodeRegistration.name
		kubeadmConfigSpec.postKubeadmCommands[] kubeadmConfigSpec.preKubeadmCommands[]`,
	"bootstrap.cluster.x-k8s.io/v1beta2 KubeadmConfigTemplate": `
		joinConfiguration.nodeRegistration.kubeletExtraArgs[].name
		joinConfiguration.nodeRegistration.kubeletExtraArgs[].value
		joinConfiguration.nodeRegistration.name preKubeadmCommands[]`,

	"controlplane.cluster.x-k8s.io/v1beta2 RKE2ControlPlaneTemplate": `
		agentConfig.kubelet.extraArgs[] agentConfig.nodeLabels[]
		files[].content files[].owner files[].path files[].permissions
		registrationAddress registrationMethod
		rolloutStrategy.rollingUpdate.maxSurge rolloutStrategy.type
		serverConfig.cloudProviderName serverConfig.cni
		serverConfig.disableComponents.kubernetesComponents[] serverConfig.tlsSan[]`,
	"bootstrap.cluster.x-k8s.io/v1beta2 RKE2ConfigTemplate": `
		agentConfig.kubelet.extraArgs[] agentConfig.nodeLabels[]`,

	"controlplane.cluster.x-k8s.io/v1beta2 KThreesControlPlaneTemplate": `
		kthreesConfigSpec.agentConfig.kubeletArgs[]
		kthreesConfigSpec.files[].content kthreesConfigSpec.files[].owner
		kthreesConfigSpec.files[].path kthreesConfigSpec.files[].permissions
		kthreesConfigSpec.serverConfig.disableCloudController kthreesConfigSpec.serverConfig.tlsSan[]`,
	"bootstrap.cluster.x-k8s.io/v1beta2 KThreesConfigTemplate": `
		agentConfig.kubeletArgs[]`,
}
