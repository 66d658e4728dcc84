//! The tutorial's `pipeline_vendas.py`: extract, validate, transform, load, report.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz};
use tarefa_sdk::prelude::*;

#[data]
pub struct Venda {
    pub id: u32,
    pub cliente_id: i64,
    pub produto_id: i64,
    pub quantidade: i64,
    pub valor_unitario: f64,
    pub data_venda: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valor_total: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categoria: Option<String>,
}

#[data]
pub struct Carga {
    pub registros_carregados: usize,
    pub valor_total: f64,
    pub distribuicao: BTreeMap<String, usize>,
}

#[data]
pub struct Relatorio {
    pub timestamp: String,
    pub status: String,
    pub metricas: Carga,
}

/// Simula extração de dados do banco de vendas
#[task]
pub fn extrair_vendas_database() -> Result<Vec<Venda>> {
    info!("Conectando ao banco de dados de vendas");

    // Simula tempo de extração
    sleep(Duration::from_secs(2));

    // Dados simulados
    let vendas = (1..=random_range(10..=50)).map(venda_simulada).collect::<Result<Vec<_>>>()?;

    info!("Extraídas {} vendas do banco de dados", vendas.len());
    Ok(vendas)
}

fn venda_simulada(id: u32) -> Result<Venda> {
    Ok(Venda {
        id,
        cliente_id: random_range(1..=100),
        produto_id: random_range(1..=20),
        quantidade: random_range(1..=5),
        // Em centavos, de 10 a 1000
        valor_unitario: f64::from(random_range(1_000..=100_000)) / 100.0,
        data_venda: dias_atras(random_range(0..=30))?,
        valor_total: None,
        categoria: None,
    })
}

/// A hora local de há tantos dias, no mesmo formato que a de agora.
fn dias_atras(dias: i64) -> Result<String> {
    let context = context();
    let zone = tz::TimeZone::fixed(tz::Offset::from_seconds(context.utc_offset_seconds)?);
    let data = context.local_time.parse::<Timestamp>()?.to_zoned(zone).checked_sub(dias.days())?;
    Ok(data.strftime("%Y-%m-%dT%H:%M:%S.%6f%:z").to_string())
}

/// Valida a qualidade dos dados extraídos
#[task]
pub fn validar_qualidade_dados(vendas: Vec<Venda>) -> Result<Vec<Venda>> {
    info!("Iniciando validação de qualidade dos dados");

    let total = vendas.len();
    let mut vendas_validas = Vec::new();
    for venda in vendas {
        // Validações básicas
        if venda.quantidade > 0 && venda.valor_unitario > 0.0 && venda.cliente_id > 0 {
            vendas_validas.push(venda);
        } else {
            warn!("Venda ID {} falhou na validação", venda.id);
        }
    }

    let problemas = total - vendas_validas.len();
    let taxa_qualidade = vendas_validas.len() as f64 / total as f64 * 100.0;
    info!("Taxa de qualidade: {taxa_qualidade:.1}% ({problemas} problemas encontrados)");
    ensure!(taxa_qualidade >= 90.0, "Taxa de qualidade muito baixa: {taxa_qualidade:.1}%");
    Ok(vendas_validas)
}

/// Aplica transformações nos dados
#[task]
pub fn aplicar_transformacoes(mut vendas: Vec<Venda>) -> Vec<Venda> {
    info!("Aplicando transformações nos dados");

    sleep(Duration::from_secs(1));

    for venda in &mut vendas {
        // Calcula valor total
        let valor_total = venda.quantidade as f64 * venda.valor_unitario;
        venda.valor_total = Some(valor_total);

        // Categoriza venda por valor
        let categoria = match valor_total {
            valor if valor > 500.0 => "alta",
            valor if valor > 100.0 => "media",
            _ => "baixa",
        };
        venda.categoria = Some(categoria.into());
    }

    info!("Transformações aplicadas em {} registros", vendas.len());
    vendas
}

/// Carrega dados no Data Warehouse
#[task]
pub fn carregar_data_warehouse(vendas: Vec<Venda>) -> Result<Carga> {
    info!("Iniciando carregamento no Data Warehouse");

    // Simula carregamento
    sleep(Duration::from_secs(3));

    // Estatísticas do carregamento
    let mut total_valor = 0.0;
    let mut vendas_por_categoria = BTreeMap::new();
    for venda in &vendas {
        let (Some(valor), Some(categoria)) = (venda.valor_total, &venda.categoria) else {
            bail!("Venda ID {} não foi transformada", venda.id);
        };
        total_valor += valor;
        *vendas_por_categoria.entry(categoria.clone()).or_default() += 1;
    }

    info!("Carregamento concluído:");
    info!("- Total de registros: {}", vendas.len());
    info!("- Valor total: R$ {total_valor:.2}");
    info!("- Distribuição por categoria: {}", to_json(&vendas_por_categoria));

    Ok(Carga { registros_carregados: vendas.len(), valor_total: total_valor, distribuicao: vendas_por_categoria })
}

/// Gera relatório final da execução
#[task]
pub fn gerar_relatorio_execucao(resultado_carregamento: Carga) -> Relatorio {
    let relatorio =
        Relatorio { timestamp: local_time().to_string(), status: "sucesso".into(), metricas: resultado_carregamento };

    info!("=== RELATÓRIO DE EXECUÇÃO ===");
    info!("Timestamp: {}", relatorio.timestamp);
    info!("Status: {}", relatorio.status);
    info!("Registros processados: {}", relatorio.metricas.registros_carregados);

    relatorio
}

/// Pipeline completo de ETL para dados de vendas
#[flow(title = "Pipeline ETL Vendas Completo")]
pub fn pipeline_etl_completo() -> Result<Relatorio> {
    // Extração
    let vendas_brutas = extrair_vendas_database()?;

    // Validação
    let vendas_validas = validar_qualidade_dados(vendas_brutas)?;

    // Transformação
    let vendas_transformadas = aplicar_transformacoes(vendas_validas)?;

    // Carregamento
    let resultado = carregar_data_warehouse(vendas_transformadas)?;

    // Relatório
    gerar_relatorio_execucao(resultado)
}

export_module!(
    flows: [pipeline_etl_completo],
    tasks: [
        extrair_vendas_database,
        validar_qualidade_dados,
        aplicar_transformacoes,
        carregar_data_warehouse,
        gerar_relatorio_execucao,
    ],
);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tarefa_sdk::testing;

    #[test]
    fn what_was_sold_is_what_is_reported() {
        let relatorio = pipeline_etl_completo().unwrap();
        let n = relatorio.metricas.registros_carregados;
        assert!((10..=50).contains(&n));
        assert_eq!(relatorio.metricas.distribuicao.values().sum::<usize>(), n);
        assert_eq!(testing::sleeps().iter().sum::<Duration>(), Duration::from_secs(6));
        let last = testing::logs().pop().unwrap();
        assert_eq!(last.message, format!("Registros processados: {n}"));
    }

    #[test]
    fn the_least_draw_is_ten_cheap_sales_of_today() {
        testing::set_random([0.0; 51]);
        let vendas = aplicar_transformacoes(extrair_vendas_database().unwrap()).unwrap();
        assert_eq!(vendas.len(), 10);
        let Venda { quantidade, valor_unitario, data_venda, valor_total, categoria, .. } = &vendas[9];
        assert_eq!((*quantidade, *valor_unitario, *valor_total), (1, 10.0, Some(10.0)));
        assert_eq!(*data_venda, local_time().to_string());
        assert_eq!(categoria.as_deref(), Some("baixa"));
    }

    #[test]
    fn a_date_is_counted_back_in_local_time() {
        testing::set_context(|context| {
            context.local_time = "2026-03-01T06:30:00.250000-03:00".into();
            context.utc_offset_seconds = -3 * 3600;
        });
        assert_eq!(dias_atras(2).unwrap(), "2026-02-27T06:30:00.250000-03:00");
    }

    #[test]
    fn too_many_bad_sales_end_the_pipeline() {
        let mut vendas = extrair_vendas_database().unwrap();
        vendas.truncate(10);
        vendas[0].quantidade = 0;
        assert_eq!(validar_qualidade_dados(vendas.clone()).unwrap().len(), 9);
        vendas[1].cliente_id = 0;
        let error = validar_qualidade_dados(vendas).unwrap_err();
        assert_eq!(error.message(), "Taxa de qualidade muito baixa: 80.0%");
    }
}
